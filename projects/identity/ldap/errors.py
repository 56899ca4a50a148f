"""What can go wrong with a directory: told in full to administrators, and in short to who signs in."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _

from harborsite.errors import AppError


class DirectoryError(AppError):
    """A directory that cannot be used now; the message says which one and why, for administrators and the log."""

    code, status = "DIRECTORY_ERROR", 503
    default_message = _("the directory cannot be used")


class SlowDirectory(DirectoryError):
    """It did not answer in time."""


class DirectoryUnavailable(AppError):
    """Whether the credentials are right is not known; another try may help."""

    code, status = "SERVICE_UNAVAILABLE", 503
    default_message = _("The directory of this account does not answer. Accounts of the database still sign in.")
