"""LDAP servers: whether they answer, who and what is in them, and bringing people in before they sign in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NotRequired, TypedDict

from rest_framework.request import Request

from harborsite import directories
from harborsite.api import body
from harborsite.api.answers import Answer, Done, Missing
from harborsite.api.wire import without_empty
from harborsite.errors import AppError, BadRequest, NotFound
from projects.api.base import ApiView
from projects.identity.ldap import diagnosis, lookup, sources
from projects.identity.ldap.errors import DirectoryError
from projects.identity.ldap.sources import Source
from projects.models import UserGroup


@dataclass(frozen=True, slots=True)
class LdapConf:
    ldap_url: str = ""
    ldap_search_dn: str = ""
    ldap_search_password: str = ""
    ldap_base_dn: str = ""
    ldap_filter: str = ""
    ldap_uid: str = ""
    ldap_scope: int = 2
    ldap_connection_timeout: int = 5
    ldap_verify_cert: bool = True


@dataclass(frozen=True, slots=True)
class ImportRequest:
    ldap_uid_list: list[str] = field(default_factory=list)


class PingResult(TypedDict):
    success: bool
    message: NotRequired[str]


class ShownPerson(TypedDict):
    username: str
    realname: NotRequired[str]
    email: NotRequired[str]


class FoundGroup(TypedDict):
    id: NotRequired[int]  # where it is known here
    group_name: str
    group_type: int
    ldap_group_dn: str


class FailedImport(TypedDict):
    uid: str
    error: str
    err_msg: str  # as Harbor's server writes it, beside what its interface says


class PingView(ApiView):
    """Whether the searching account is let in: by the server that is set, or by one that is only being tried out."""

    actions = {"POST": "configuration:read"}
    works_read_only = frozenset({"POST"})

    def post(self, request: Request) -> Answer[PingResult]:
        conf = body.read(request, LdapConf) if request.body else LdapConf()
        source = _tried(conf) if conf != LdapConf() else sources.first()
        try:
            diagnosis.ping(source)
        except AppError as error:
            return Answer({"success": False, "message": f"error: {error.message}"})
        return Answer({"success": True})


def _tried(conf: LdapConf) -> Source:
    """A server out of a request. The password that is kept goes only where it belongs."""
    kept = sources.first()
    is_same = (conf.ldap_url, conf.ldap_search_dn) == (kept.url, kept.search_dn)
    try:
        return Source(
            url=conf.ldap_url,
            base_dn=directories.dn(conf.ldap_base_dn),
            search_dn=directories.dn(conf.ldap_search_dn),
            search_password=conf.ldap_search_password or (kept.search_password if is_same else ""),
            start_tls=kept.start_tls and is_same,
            ca_certificates=kept.ca_certificates,
            verify_cert=conf.ldap_verify_cert,
            filter=directories.search_filter(conf.ldap_filter),
            uid=directories.attribute(conf.ldap_uid or kept.uid),
            scope=conf.ldap_scope,
            timeout=min(max(conf.ldap_connection_timeout, 1), diagnosis.LONGEST_SECONDS),
        )
    except ValueError as reason:
        raise BadRequest(str(reason)) from None


class PeopleView(ApiView):
    actions = {"GET": "ldap-user:list"}

    def get(self, request: Request) -> Answer[list[ShownPerson]]:
        found = lookup.people(request.GET.get("username", ""))
        shapes: list[ShownPerson] = [
            {"username": person.username, "realname": person.realname, "email": person.email} for person in found
        ]
        return Answer([without_empty(shape, "realname", "email") for shape in shapes])


class ImportView(ApiView):
    actions = {"POST": "ldap-user:create"}

    def post(self, request: Request) -> Done | Missing[list[FailedImport]]:
        """Bring in all who can be; whoever cannot is named with Harbor's word for why."""
        failed: list[FailedImport] = [
            {"uid": uid, "error": reason, "err_msg": reason}
            for uid in body.read(request, ImportRequest).ldap_uid_list
            if (reason := self._refusal(uid.strip()))
        ]
        return Missing(failed) if failed else Done()

    def _refusal(self, uid: str) -> str:
        if not uid:
            return "empty_uid"
        try:
            user = lookup.bring_in_person(username=uid, actor=self.who)
        except DirectoryError:
            return "failed_search_user"
        except AppError as refused:
            return f"failed to import user: {refused.message}"
        return "" if user else "unknown_user"


class GroupsView(ApiView):
    actions = {"GET": "ldap-user:list"}

    def get(self, request: Request) -> Answer[list[FoundGroup]]:
        name, dn = request.GET.get("groupname", ""), request.GET.get("groupdn", "")
        found = lookup.groups_named(name) if name else []
        if dn and not name and (one := lookup.group_at(dn)):
            found = [one]
        if not found:
            raise NotFound("no LDAP group is found")
        return Answer([self._shape(group) for group in found])

    def _shape(self, group: lookup.FoundGroup) -> FoundGroup:
        shape: FoundGroup = {"group_name": group.name, "group_type": 1, "ldap_group_dn": group.dn}
        known = UserGroup.objects.filter(group_type=UserGroup.Type.LDAP, ldap_group_dn=group.dn, source=group.source)
        if row := known.first():
            shape["id"] = row.pk
        return shape
