"""The WSGI application, for any server: `gunicorn harborsite.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "harborsite.settings")

application = get_wsgi_application()
