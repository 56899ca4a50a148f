"""The WSGI application, for any server: `gunicorn harborsite.wsgi`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "harborsite.settings")

from harborsite.server import application as whole

application = whole.load()

from registry.services import pulls  # noqa: E402 - needs the apps that the line above loads

pulls.write_in_background()
