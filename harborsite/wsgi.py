"""The WSGI application, for any server: `gunicorn harborsite.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "harborsite.settings")

application = get_wsgi_application()

from registry.services import pulls  # noqa: E402 - needs the apps that the line above loads

pulls.write_in_background()
