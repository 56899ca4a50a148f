"""A configuration and a data volume for this test process alone; imported before the settings are read."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

HOME = Path(tempfile.mkdtemp(prefix="harborsite-tests-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
(HOME / "data" / "static").mkdir(parents=True)
(HOME / "data" / "secret").mkdir(mode=0o700)
(HOME / "harbor.cfg").write_text("hostname = testserver\nhttp_port = 80\n")
os.environ["LC_ALL"] = "C.UTF-8"  # the language of commands
os.environ["HARBOR_CFG"] = str(HOME / "harbor.cfg")

from harborsite import catalogue  # noqa: E402 - reads the environment set above

catalogue.compile_all(HOME / "data" / "translations")
