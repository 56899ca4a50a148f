"""Looking for people and groups in directories, and bringing them into the database before they sign in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import ldap
from django.db import transaction
from django.utils.translation import gettext as _
from ldap.filter import escape_filter_chars

from harborsite.directories import dn as check_dn
from harborsite.errors import BadRequest
from harborsite.principal import Principal
from projects.identity.ldap import sources
from projects.identity.ldap.connection import bound, translated
from projects.identity.ldap.directory import (
    Directory,
    PagedSearch,
    attributes,
    canonical,
    conversation,
    first_of,
    group_search,
    literal,
)
from projects.identity.ldap.sources import Source
from projects.models import User, UserGroup
from projects.names import MAX_LENGTH
from projects.services import accounts, groups, onboarding
from projects.services.onboarding import Person


@dataclass(frozen=True, slots=True)
class FoundGroup:
    """A group of a directory."""

    source: str
    dn: str
    name: str


def people(username: str) -> list[Person]:
    """Who has this name in any server; everybody where it is empty."""
    return [person for source in _servers() for person in _people_of(source, username)]


def _people_of(source: Source, username: str) -> Iterator[Person]:
    wanted = escape_filter_chars(username) if username else "*"
    search = PagedSearch(
        source.base_dn, source.scope, literal(f"(&{source.filter}({source.uid}={wanted}))"), attributes(source)
    )
    with bound(source) as connection, translated(source):
        for dn, entry in search.execute(connection):
            yield Directory(source).person_of(dn, entry)


def groups_named(name: str) -> list[FoundGroup]:
    """Groups of this name in any server; all of them where it is empty."""
    return [group for source in _servers() for group in _groups_of(source, name)]


def _groups_of(source: Source, name: str) -> Iterator[FoundGroup]:
    wanted = escape_filter_chars(name) if name else "*"
    search = group_search(source).search_with_additional_term_string(
        literal(f"({source.group_name_attribute}={wanted})")
    )
    with bound(source) as connection, translated(source):
        for dn, entry in search.execute(connection):
            yield FoundGroup(source.name, canonical(dn), first_of(entry, source.group_name_attribute))


def group_at(dn: str) -> FoundGroup | None:
    """The group with this DN, in the first server that has it."""
    try:
        check_dn(dn)
    except ValueError:
        raise BadRequest(_("{dn} is no distinguished name").format(dn=dn)) from None
    return next((found for source in _servers() for found in _group_at(source, dn)), None)


def _group_at(source: Source, dn: str) -> Iterator[FoundGroup]:
    """An entry below the groups' base that fits their filter."""
    base = canonical(source.group_base_dn or source.base_dn)
    if not f",{canonical(dn)}".endswith(f",{base}"):
        return
    search = group_search(source)
    with bound(source) as connection, translated(source):
        try:
            entries = connection.search_ext_s(dn, ldap.SCOPE_BASE, search.filterstr % (), search.attrlist)
        except ldap.NO_SUCH_OBJECT:
            return
        for _found, entry in search._process_results(entries):
            yield FoundGroup(source.name, canonical(dn), first_of(entry, source.group_name_attribute))


def bring_in_group(*, dn: str, name: str, actor: Principal | str) -> UserGroup:
    """The group at `dn` as it is known here, made where it is not; raises BadRequest if no server has it."""
    found = group_at(dn) if dn else None
    if found is None:
        raise BadRequest(_("LDAP Group DN is not found: DN:{dn}").format(dn=dn))
    return groups.onboard_directory(dn=found.dn, name=name or found.name, source=found.source, actor=actor)


def add_group(*, dn: str, name: str, actor: Principal | str) -> UserGroup:
    """The same where it must not be known yet; raises Conflict."""
    found = group_at(dn) if dn else None
    if found is None:
        raise BadRequest(_("LDAP Group DN is not found: DN:{dn}").format(dn=dn))
    return groups.create_group(
        name=name or found.name,
        group_type=UserGroup.Type.LDAP,
        dn=found.dn,
        source=found.source,
        actor=actor,
    )


def bring_in_person(*, username: str, actor: Principal | str) -> User | None:
    """The account of somebody in an active directory, made where there is none; None if no server knows the name."""
    if len(username) > MAX_LENGTH:
        return None
    for source in sources.active():
        with conversation(source) as directory:
            entry = directory.entry(username)
            person = directory.person(entry) if entry.dn is not None else None
        if person is not None:
            return onboarding.welcome(source=source.name, person=person, actor=actor)
    return None


def move_person(*, user: User, source: str, actor: Principal | str) -> User:
    """Give an account of another source to the person of that name in a directory, as the directory has them now.

    Raises BadRequest, and changes nothing, where there is no such directory or nobody of exactly that name in it.
    """
    server = next((server for server in sources.configured() if server.name == source), None)
    if server is None:
        raise BadRequest(_("there is no source of users named {source}").format(source=source))
    with conversation(server) as directory:
        entry = directory.entry(user.username)
        person = directory.person(entry) if entry.dn is not None else None
    if person is None or person.username != user.username:
        raise BadRequest(_("{source} has nobody named {name}").format(source=source, name=user.username))
    with transaction.atomic():
        accounts.set_source(user=user, source=source, actor=actor)
        return onboarding.welcome(source=source, person=person, actor=actor)


def _servers() -> Sequence[Source]:
    servers = sources.configured()
    if not servers:
        raise BadRequest(_("no LDAP server is set"))
    return servers
