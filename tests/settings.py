"""The settings of the tests: the product's own, read from the configuration of this test process."""

from tests.home import HOME  # first: it names the configuration that the settings read

# isort: split
from harborsite.settings import *  # noqa: F403
from harborsite.settings import DATABASES

if DATABASES["default"]["ENGINE"] == "harborsite.db.sqlite3":
    # A file as in production, with its gate: a database in memory locks in other ways.
    DATABASES["default"]["TEST"] = {"NAME": str(HOME / "test.sqlite3")}
