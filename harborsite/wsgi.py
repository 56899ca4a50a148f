"""The WSGI application, for any server: `gunicorn harborsite.wsgi`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "harborsite.settings")

from harborsite.server import application as whole

application = whole.load()

from audit import forwarding  # noqa: E402 - needs the apps that the line above loads
from registry.services import pulls  # noqa: E402 - as above

pulls.write_in_background()
forwarding.forward_in_background()
