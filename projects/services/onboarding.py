"""Accounts of people whom a directory knows: made at the first sign-in, kept as the directory has them."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite.principal import Principal
from projects import names
from projects.errors import NameTaken
from projects.models import User, UserGroup
from projects.services import accounts

logger = logging.getLogger("projects.identity")

COMMENT = "from LDAP."  # Harbor's
_LONGEST_DN = 1024


@dataclass(frozen=True, slots=True)
class Person:
    """What a directory says of somebody. `groups` are canonical DNs of all groups, known here or not."""

    username: str
    dn: str
    realname: str = ""
    email: str = ""
    groups: frozenset[str] = frozenset()
    is_admin: bool = False


def welcome(*, source: str, person: Person, actor: Principal | str = "") -> User:
    """The account of `person`, made or brought up to date; raises NameTaken, and BadRequest for an impossible name.

    An account belongs to the source that made it. A person of the same name in another source is somebody else, and
    is let into neither that account nor one of their own. `actor` is the person where nobody else is named.
    """
    user = User.objects.filter(username=person.username).first()
    if user is None:
        user = _make(source, person, actor or person.username)
    elif user.source != source:
        message = _("an account named {name} belongs to another source: {source}")
        raise NameTaken(message.format(name=person.username, source=user.source))
    else:
        _update(user, person)
    _join(user, source, person)
    return user.refresh_rights()


def dismiss(user: User) -> None:
    """The directory does not know this person any more: all rights from there end, and all sessions."""
    user.admin_role_in_auth = False
    user.set_unusable_password()  # a new one: sessions are tied to it
    with transaction.atomic():
        user.save(update_fields=["admin_role_in_auth", "password", "update_time"])
        user.groups.clear()
        _record(user.username, user, change="not in the directory any more")


def _make(source: str, person: Person, actor: Principal | str) -> User:
    accounts.check_username(person.username)
    user = User(
        username=person.username,
        source=source,
        directory_dn=person.dn[:_LONGEST_DN],
        email=_free_email(person),
        realname=_realname(person),
        comment=COMMENT,
        admin_role_in_auth=person.is_admin,
        synced_at=timezone.now(),
    )
    user.set_unusable_password()
    with transaction.atomic():
        if User.objects.filter(email=person.username).exists():
            raise NameTaken(_("{name} is the e-mail address of another account").format(name=person.username))
        try:
            with transaction.atomic():
                user.save(force_insert=True)
        except IntegrityError:  # the same person signs in twice at the first time
            made = User.objects.filter(username=person.username, source=source).first()
            if made is None:
                raise NameTaken(_("an account named {name} exists").format(name=person.username)) from None
            return made
        audit.record(
            actor=actor,
            operation=Operation.CREATE,
            resource_type=ResourceType.USER,
            resource=user.username,
            data={"source": source},
        )
    return user


def _update(user: User, person: Person) -> None:
    """One write where something differs; the time of the last look-up is kept to the minute, for sessions."""
    wanted: dict[str, object] = {"directory_dn": person.dn[:_LONGEST_DN], "realname": _realname(person)}
    if (user.email or "") != person.email:
        wanted["email"] = _free_email(person)
    changed = {name for name, value in wanted.items() if getattr(user, name) != value}
    is_admin_changed = user.admin_role_in_auth != person.is_admin
    now = timezone.now()
    is_old = user.synced_at is None or (now - user.synced_at).total_seconds() > 60
    if not (changed or is_admin_changed or is_old):
        return
    for name, value in wanted.items():
        setattr(user, name, value)
    user.admin_role_in_auth, user.synced_at = person.is_admin, now
    with transaction.atomic():
        user.save(update_fields=[*wanted, "admin_role_in_auth", "synced_at", "update_time"])
        if is_admin_changed:
            _record(user.username, user, change="sysadmin" if person.is_admin else "no sysadmin")


def _join(user: User, source: str, person: Person) -> None:
    """Be in exactly those groups known here that the directory names."""
    here = dict(UserGroup.objects.filter(users=user, group_type=UserGroup.Type.LDAP).values_list("pk", "group_name"))
    wanted = _known(source, person.groups)
    if here.keys() == wanted.keys():
        return
    with transaction.atomic():
        user.groups.remove(*(here.keys() - wanted.keys()))
        user.groups.add(*(wanted.keys() - here.keys()))
        joined = sorted(name for pk, name in wanted.items() if pk not in here)
        left = sorted(name for pk, name in here.items() if pk not in wanted)
        _record(user.username, user, joined=joined, left=left)


def _known(source: str, dns: frozenset[str]) -> dict[int, str]:
    """Groups of `source` known here, by id; there are fewer of them than a person may have in the directory."""
    rows = UserGroup.objects.filter(group_type=UserGroup.Type.LDAP, source=source)
    return {pk: name for pk, name, dn in rows.values_list("pk", "group_name", "ldap_group_dn") if dn in dns}


def _realname(person: Person) -> str:
    """What lists can show; a directory may hold what we would not let anybody enter."""
    kept = "".join(char for char in person.realname if not names.has_illegal_characters(char))
    return kept[: names.MAX_LENGTH]


def _free_email(person: Person) -> str | None:
    """The person's address, unless it opens somebody else's account: people also sign in by e-mail."""
    email = person.email.strip()
    try:
        validate_email(email)
    except ValidationError:
        return None
    if len(email) > names.MAX_LENGTH:
        return None
    others = User.objects.filter(Q(email=email) | Q(username=email)).exclude(username=person.username)
    if others.exists():
        logger.warning("an e-mail address is another account's", extra={"user": person.username, "email": email})
        return None
    return email


def _record(actor: str, user: User, **data: object) -> None:
    audit.record(
        actor=actor, operation=Operation.UPDATE, resource_type=ResourceType.USER, resource=user.username, data=data
    )
