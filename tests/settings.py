"""The settings of the tests: the product's own, read from a configuration and a data volume of each test process.

pytest-django reads the settings before it reads any conftest.py, so the configuration must be named here.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_HOME = Path(tempfile.mkdtemp(prefix="harborsite-tests-"))
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
(_HOME / "harbor.cfg").write_text("hostname = testserver\nhttp_port = 80\n")
os.environ["HARBOR_CFG"] = str(_HOME / "harbor.cfg")

from harborsite.settings import *  # noqa: E402, F403 - after the configuration is named
from harborsite.settings import DATABASES  # noqa: E402

if DATABASES["default"]["ENGINE"] == "harborsite.db.sqlite3":
    # A file as in production, with its gate: a database in memory locks in other ways.
    DATABASES["default"]["TEST"] = {"NAME": str(_HOME / "test.sqlite3")}
