"""What can go wrong with people, projects and what they may store."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _

from harborsite.errors import BadRequest, Conflict, Denied, NotFound, PreconditionFailed


class ProjectNotFound(NotFound):
    default_message = _("project not found")


class ProjectNotEmpty(PreconditionFailed):
    default_message = _("the project contains repositories, can not be deleted")


class ProjectExists(Conflict):
    default_message = _("the project already exists")


class BadProjectName(BadRequest):
    default_message = _("project name is not in lower case or contains illegal characters")


class WeakPassword(BadRequest):
    default_message = _(
        "the password or secret must be 8-128, inclusively, characters long with at least 1 uppercase letter, "
        "1 lowercase letter and 1 number"
    )


class UserExists(Conflict):
    default_message = _("the user already exists")


class NameTaken(Conflict):
    default_message = _("an account of this name belongs to another source")


class LastAdministrator(PreconditionFailed):
    default_message = _("this is the last active administrator")


class MemberExists(Conflict):
    default_message = _("The project member specified already exist")


class RobotExists(Conflict):
    default_message = _("robot account already exists")


class GrantTooWide(Denied):
    default_message = _("permission scope is invalid")


class QuotaExceeded(Denied):
    default_message = _("the project's quota is exceeded")
