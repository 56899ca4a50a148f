"""People's accounts: made, changed, closed."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite.errors import BadRequest, Forbidden
from harborsite.principal import Principal
from projects import names, params
from projects.errors import LastAdministrator, UserExists, WeakPassword
from projects.models import Member, User
from projects.models.user import ADMIN_ID

MAX_COMMENT = 30


def check_password(password: str) -> None:
    """Raise WeakPassword unless the rule for passwords and given robot secrets holds."""
    fits = 8 <= len(password) <= 128
    if not (fits and all(re.search(wanted, password) for wanted in ("[A-Z]", "[a-z]", "[0-9]"))):
        raise WeakPassword


def check_username(username: str) -> None:
    if not 1 <= len(username) <= names.MAX_LENGTH:
        raise BadRequest(_("username with illegal length"))
    if names.has_illegal_characters(username) or username != username.strip():
        raise BadRequest(_("username contains illegal characters"))


def check_new_username(username: str) -> None:
    """Raise unless an account could be made under this name."""
    check_username(username)
    if User.objects.filter(Q(username=username) | Q(email=username)).exists():
        raise UserExists(_("The user name {name} is taken.").format(name=username))


def check_email(email: str, user: User | None = None) -> None:
    """Raise where somebody but `user` has this address, or has it as a name: both sign in."""
    others = User.objects.exclude(pk=user.pk) if user else User.objects.all()
    if others.filter(Q(username=email) | Q(email=email)).exists():
        raise UserExists(_("The e-mail address {email} is taken.").format(email=email))


def create_user(
    *,
    username: str,
    email: str | None,
    password: str | None,
    actor: Principal | str,
    realname: str = "",
    comment: str = "",
    sysadmin_flag: bool = False,
) -> User:
    """Make an account. Without a password nobody can sign in with one: the sign-in source has it."""
    check_username(username)
    _check_profile(email=email, realname=realname, comment=comment)
    if password is not None:
        check_password(password)
    user = User(username=username, email=email or None, realname=realname, comment=comment, sysadmin_flag=sysadmin_flag)
    user.set_password(password)
    with transaction.atomic():
        _check_free(username, email)
        try:
            with transaction.atomic():
                user.save(force_insert=True)
        except IntegrityError:
            raise _exists(username, email) from None
        _record(actor, Operation.CREATE, user)
    return user


def sign_up_is_open() -> bool:
    """Whether visitors may make accounts: it is switched on, and passwords are kept in the database."""
    return bool(params.get(params.SELF_REGISTRATION)) and params.get(params.AUTH_MODE) == "db_auth"


def update_profile(*, user: User, email: str, realname: str, comment: str, actor: Principal | str) -> User:
    """Change what an account says about its person."""
    _check_ours(user)
    _check_profile(email=email, realname=realname, comment=comment)
    if email:
        check_email(email, user)
    user.email, user.realname, user.comment = email or None, realname, comment
    with transaction.atomic():
        try:
            with transaction.atomic():
                user.save(update_fields=["email", "realname", "comment", "update_time"])
        except IntegrityError:
            raise _exists(user.username, email) from None
        _record(actor, Operation.UPDATE, user)
    return user


def set_password(*, user: User, password: str, actor: Principal | str) -> User:
    """Give the account a new password; every session of the account ends."""
    _check_ours(user)
    check_password(password)
    user.set_password(password)
    with transaction.atomic():
        user.save(update_fields=["password", "update_time"])
        _record(actor, Operation.UPDATE, user, change="password")
    return user


def change_password(*, user: User, old_password: str, password: str) -> User:
    """A person changes their own password, and proves to know the old one."""
    _check_ours(user)
    if not user.check_password(old_password):
        raise Forbidden(_("Current password is incorrect"))
    if old_password == password:
        raise BadRequest(_("New password is identical to old password"))
    return set_password(user=user, password=password, actor=user)


def set_sysadmin(*, user: User, flag: bool, actor: Principal | str) -> User:
    with transaction.atomic():
        if not flag:
            _check_not_last(user)
        user.sysadmin_flag = flag
        user.save(update_fields=["sysadmin_flag", "update_time"])
        _record(actor, Operation.UPDATE, user, change="sysadmin" if flag else "no sysadmin")
    return user


def set_active(*, user: User, active: bool, actor: Principal | str) -> User:
    """Let the account sign in, or shut it out at once."""
    with transaction.atomic():
        if not active:
            _check_not_last(user)
        user.is_active = active
        user.save(update_fields=["is_active", "update_time"])
        _record(actor, Operation.UPDATE, user, change="enable" if active else "disable")
    return user


def set_source(*, user: User, source: str, actor: Principal | str) -> User:
    """Give the account to another source of users; what the old one said of the person ends, and all sessions.

    What is the account's own stays: memberships, projects, second factor, administration by hand.
    """
    if user.pk == ADMIN_ID:
        raise Forbidden(_("the built-in administrator stays in the database"))
    user.source, user.directory_dn, user.synced_at, user.admin_role_in_auth = source, "", None, False
    user.set_unusable_password()
    with transaction.atomic():
        user.save()
        user.groups.clear()
        _record(actor, Operation.UPDATE, user, change="source", source=source)
    return user


def delete_user(*, user: User, actor: Principal | str) -> None:
    """Close the account for good. The row stays, renamed, because projects and logs refer to it."""
    if user.pk == ADMIN_ID:
        raise Forbidden(_("User with ID {id} cannot be deleted").format(id=user.pk))
    if isinstance(actor, User) and actor.pk == user.pk:
        raise Forbidden(_("nobody may delete their own account"))
    mark = f"#{user.pk}"
    with transaction.atomic():
        _check_not_last(user)
        _record(actor, Operation.DELETE, user)
        Member.objects.filter(user=user).delete()
        user.groups.clear()
        user.username = user.username[: names.MAX_LENGTH - len(mark)] + mark
        user.email = user.email[: names.MAX_LENGTH - len(mark)] + mark if user.email else None
        user.deleted, user.is_active, user.sysadmin_flag = True, False, False
        user.set_unusable_password()
        user.save()


def _check_ours(user: User) -> None:
    if user.is_of_directory:
        raise Forbidden(
            _("password and profile of this account are kept in a directory: {source}").format(source=user.source)
        )


def _check_profile(*, email: str | None, realname: str, comment: str) -> None:
    if len(realname) > names.MAX_LENGTH:
        raise BadRequest(_("realname with illegal length"))
    if names.has_illegal_characters(realname):
        raise BadRequest(_("realname contains illegal characters"))
    if len(comment) > MAX_COMMENT:
        raise BadRequest(_("comment with illegal length"))
    if email:
        try:
            validate_email(email)
        except ValidationError:
            raise BadRequest(_("email with illegal format")) from None


def _check_free(username: str, email: str | None) -> None:
    """Also against a name that is another account's address: both sign in."""
    taken = Q(username=username) | Q(email=username)
    if email:
        taken |= Q(email=email) | Q(username=email)
    if User.objects.filter(taken).exists():
        raise _exists(username, email)


def _exists(username: str, email: str | None) -> UserExists:
    return UserExists(_("user {username} or email {email} already exists").format(username=username, email=email or ""))


def _check_not_last(user: User) -> None:
    """Somebody must be left who can administer the system."""
    others = User.objects.select_for_update().filter(sysadmin_flag=True, is_active=True).exclude(pk=user.pk)
    if user.is_superuser and not others.exists():
        raise LastAdministrator


def _record(actor: Principal | str, operation: Operation, user: User, **data: object) -> None:
    audit.record(actor=actor, operation=operation, resource_type=ResourceType.USER, resource=user.username, data=data)
