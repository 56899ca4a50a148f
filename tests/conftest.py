"""What every test may ask for; the server's configuration is tests/harbor.cfg."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("HARBOR_CFG", str(Path(__file__).parent / "harbor.cfg"))
