"""What a directory answers, step by step, told to who sets it up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _
from ldap.filter import escape_filter_chars

from projects.identity.ldap import sources
from projects.identity.ldap.connection import bound, close, open_connection, translated
from projects.identity.ldap.directory import REFUSALS, conversation
from projects.identity.ldap.errors import DirectoryError
from projects.identity.ldap.sources import Source
from projects.models import Member, User, UserGroup
from projects.permissions import Role
from projects.services.onboarding import Person

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

LONGEST_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was tried. `ok` is None where it says something and is neither right nor wrong."""

    source: str
    title: _StrOrPromise
    ok: bool | None
    text: str = ""


def ping(source: Source) -> None:
    """Raise DirectoryError unless the searching account is let in."""
    if not source.url:
        raise DirectoryError(_("no LDAP server is set"))
    with bound(source):
        pass


def examine(*, username: str, password: str = "") -> Iterator[Step]:
    """Every step of a sign-in of `username` with each active server; without a password all but the last bind.

    Nothing is written: the account is not made.
    """
    active = sources.active()
    if not active:
        yield Step("", _("Sources"), False, _("no LDAP server is active (auth_mode, sign_in_sources, ldap_url)"))
    for source in active:
        yield from _examine(source, username, password)


def _examine(source: Source, username: str, password: str) -> Iterator[Step]:
    def step(title: str, ok: bool | None, text: str = "") -> Step:
        return Step(source.name, title, ok, text)

    try:
        close(open_connection(source))
        yield step(_("Server"), True, _("{url} answers").format(url=source.url))
        yield step(_("Encryption"), source.is_encrypted or None, _encryption(source))
    except DirectoryError as error:
        yield step(_("Server"), False, error.message)
        return
    try:
        ping(source)
        yield step(_("Search account"), True, source.search_dn or _("anonymous"))
    except DirectoryError as error:
        yield step(_("Search account"), False, error.message)
        return
    try:
        with conversation(source) as directory:
            entry = directory.entry(username)
            yield step(_("Search"), None, _searched(source, username))
            if entry.dn is None:
                yield step(_("Entry"), False, _("nothing found"))
                return
            yield step(_("Entry"), True, entry.dn)
            person = directory.person(entry)
        yield from _who(source, person, step)
        if password:
            accepted, reason = _accepts(source, entry.dn, password)
            yield step(_("Password"), accepted, reason)
    except DirectoryError as error:
        yield step(_("Search"), False, f"{error.message} · {_searched(source, username)}")


def _encryption(source: Source) -> str:
    if not source.is_encrypted:
        return _("none: passwords are sent in the clear")
    how = "StartTLS" if source.start_tls else "LDAPS"
    if source.verify_cert:
        return _("{how}, the certificate has been checked").format(how=how)
    return _("{how}, the certificate is not checked").format(how=how)


def _searched(source: Source, username: str) -> str:
    scope = ["base", "one", "sub"][source.scope]
    sent = f"({source.uid}={escape_filter_chars(username.strip())})"
    if source.filter:
        sent = f"(&{source.filter}{sent})"
    return _("below {base}, scope {scope}, filter {filter}").format(base=source.base_dn, scope=scope, filter=sent)


def _who(source: Source, person: Person, step: Any) -> Iterator[Step]:
    named = f"{person.username} · {person.realname or '–'} · {person.email or '–'}"
    account = User.objects.filter(username=person.username).first()
    if not person.username:
        yield step(_("Account"), False, _("the entry has no attribute {name}").format(name=source.uid))
    elif account is None:
        yield step(_("Account"), True, _("{account}: is made at the first sign-in").format(account=named))
    elif account.source != source.name:
        text = _("{account}: the name belongs to an account of another source: {source}")
        yield step(_("Account"), False, text.format(account=named, source=account.source))
    elif not account.is_active:
        yield step(_("Account"), False, _("{account}: is disabled here").format(account=named))
    else:
        yield step(_("Account"), True, _("{account}: is there").format(account=named))
    yield step(_("Groups"), None, "\n".join(sorted(person.groups)) or _("none"))
    yield step(_("Administrator"), None, _("yes") if person.is_admin else _("no"))
    yield step(_("Projects"), None, "\n".join(_roles(source, person)) or _("no role by groups"))


def _roles(source: Source, person: Person) -> list[str]:
    known = UserGroup.objects.filter(group_type=UserGroup.Type.LDAP, source=source.name).only("pk", "ldap_group_dn")
    ids = [group.pk for group in known if group.ldap_group_dn in person.groups]
    rows = Member.objects.filter(group__in=ids).select_related("project", "group").order_by("project__name", "role")
    return [f"{row.project.name}: {Role(row.role).label} ({row.entity_name})" for row in rows]


def _accepts(source: Source, dn: str, password: str) -> tuple[bool, str]:
    """Whether the entry is let in with this password, and what the server says if not."""
    connection = open_connection(source)
    try:
        with translated(source):
            try:
                connection.simple_bind_s(dn, password)
            except REFUSALS as refused:
                details = refused.args[0] if refused.args and isinstance(refused.args[0], dict) else {}
                said = ", ".join(str(details[part]) for part in ("desc", "info") if details.get(part))
                return False, _("the server refuses it: {reason}").format(reason=said)
    finally:
        close(connection)
    return True, _("right")
