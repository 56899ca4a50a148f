"""The WSGI application, for any server without our proxy: `gunicorn harborsite.wsgi`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "harborsite.settings")

from harborsite.config import current
from harborsite.server import application as whole
from harborsite.setup import SetupError
from harborsite.shelltext import gettext

if current().with_proxy:  # blobs would be left to an nginx that is not in front of this server
    raise SetupError(
        gettext(
            "{where}: with_proxy: is for 'manage.py serve', behind the nginx that ./install.sh sets up. Another WSGI "
            "server needs with_proxy = off."
        ).format(where=current().place("with_proxy"))
    )

application = whole.load()

from audit import forwarding  # noqa: E402 - needs the apps that the line above loads
from registry.services import pulls  # noqa: E402 - as above

pulls.write_in_background()
forwarding.forward_in_background()
