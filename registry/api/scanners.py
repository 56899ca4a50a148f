"""Registrations of scanners, and which one a project uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NotRequired, TypedDict

from django.db.models import QuerySet
from rest_framework.request import Request

from harborsite.api import body, query
from harborsite.api.answers import Answer, Created, Done, Paged, Time
from harborsite.api.paging import paged
from harborsite.api.query import Column, to_flag, to_time
from harborsite.api.wire import stamp
from harborsite.errors import BadRequest, NotFound, Unauthorized, Unprocessable
from projects.api.base import ApiView, ProjectView
from projects.services import lifecycle
from registry.models import Scanner
from registry.services import scanners

COLUMNS = {
    "uuid": Column("uuid"),
    "name": Column("name"),
    "description": Column("description"),
    "url": Column("url"),
    "disabled": Column("disabled", to_flag),
    "is_default": Column("is_default", to_flag),
    "create_time": Column("creation_time", to_time),
    "update_time": Column("update_time", to_time),
}


@dataclass(frozen=True, slots=True)
class Registration:
    url: str
    name: str = ""
    description: str = ""
    auth: str = ""
    access_credential: str = ""
    skip_certVerify: bool = False  # noqa: N815  # so Harbor spells it
    use_internal_addr: bool = False
    disabled: bool = False

    def described(self) -> scanners.Description:
        if not self.url.lower().startswith(("http://", "https://")):
            raise Unprocessable(f'url in body must be of type uri: "{self.url[:100]}"')
        return scanners.Description(
            name=self.name,
            url=self.url,
            description=self.description,
            auth=self.auth,
            credential=self.access_credential,
            skip_verify=self.skip_certVerify,
            use_internal_address=self.use_internal_addr,
            disabled=self.disabled,
        )


@dataclass(frozen=True, slots=True)
class ScannerPing:
    url: str
    name: str = ""
    auth: str = ""
    access_credential: str = ""

    def described(self) -> scanners.Description:
        registration = Registration(
            url=self.url, name=self.name, auth=self.auth, access_credential=self.access_credential
        )
        return registration.described()


@dataclass(frozen=True, slots=True)
class DefaultRequest:
    is_default: bool = False


@dataclass(frozen=True, slots=True)
class ScannerChoice:
    uuid: str


class Capabilities(TypedDict):
    support_vulnerability: NotRequired[bool]
    support_sbom: NotRequired[bool]


class ShownScanner(TypedDict):
    """A credential is never shown; a scanner that is gone can do nothing."""

    uuid: str
    name: str
    description: str
    url: str
    disabled: bool
    is_default: bool
    auth: str
    access_credential: str
    skip_certVerify: bool
    use_internal_addr: bool
    capabilities: Capabilities | None
    create_time: Time
    update_time: Time


class NothingScans(TypedDict):
    """Of a project for which nothing scans."""


def render(scanner: Scanner) -> ShownScanner:
    return {
        "uuid": scanner.uuid,
        "name": scanner.name,
        "description": scanner.description,
        "url": scanner.url,
        "disabled": scanner.disabled,
        "is_default": scanner.is_default,
        "auth": scanner.auth,
        "access_credential": "",
        "skip_certVerify": scanner.skip_verify,
        "use_internal_addr": scanner.use_internal_address,
        "capabilities": scanner.capabilities,
        "create_time": stamp(scanner.creation_time),
        "update_time": stamp(scanner.update_time),
    }


def find(registration_id: str) -> Scanner:
    scanner = Scanner.objects.filter(uuid=registration_id).first()
    if scanner is None:
        raise NotFound(f"scanner {registration_id[:100]} not found")
    return scanner


def _page(request: Request) -> Paged[ShownScanner]:
    rows: QuerySet[Scanner] = Scanner.objects.all()
    rows = query.filtered(rows, query.parse(request.GET.get("q", "")), COLUMNS)
    rows = query.ordered(rows, request.GET.get("sort", ""), COLUMNS, ("-creation_time", "-pk"))
    return paged(request, rows, lambda found: [render(scanner) for scanner in found])


class ScannersView(ApiView):
    actions = {"GET": "scanner:list", "POST": "scanner:create"}

    def get(self, request: Request) -> Paged[ShownScanner]:
        return _page(request)

    def post(self, request: Request) -> Created:
        new = body.read(request, Registration).described()
        scanner = scanners.register(description=new, actor=self.who)
        return Created(f"/api/v2.0/scanners/{scanner.uuid}")


class ScannerPingView(ApiView):
    actions = {"POST": "scanner:create"}

    def post(self, request: Request) -> Done:
        """Whether an adapter so described answers."""
        scanners.ping(description=body.read(request, ScannerPing).described())
        return Done()


class ScannerView(ApiView):
    actions = {
        "GET": "scanner:read",
        "PUT": "scanner:update",
        "PATCH": "scanner:update",
        "DELETE": "scanner:delete",
    }

    def get(self, request: Request, registration_id: str) -> Answer[ShownScanner]:
        return Answer(render(find(registration_id)))

    def put(self, request: Request, registration_id: str) -> Done:
        scanner, new = find(registration_id), body.read(request, Registration).described()
        scanners.update(scanner=scanner, description=new, actor=self.who)
        return Done()

    def patch(self, request: Request, registration_id: str) -> Done:
        """Make it the default one; that it is not to be, another one says by being it."""
        scanner = find(registration_id)
        if body.read(request, DefaultRequest).is_default:
            scanners.make_default(scanner=scanner, actor=self.who)
        return Done()

    def delete(self, request: Request, registration_id: str) -> Answer[ShownScanner]:
        scanner = find(registration_id)
        scanners.delete(scanner=scanner, actor=self.who)
        return Answer({**render(scanner), "capabilities": None})


class ScannerMetadataView(ApiView):
    actions = {"GET": "scanner:read"}

    def get(self, request: Request, registration_id: str) -> Answer[scanners.Metadata]:
        return Answer(scanners.metadata(find(registration_id)))


class ProjectScannerView(ProjectView):
    """The choice is kept with the project's settings, whether there is such a scanner or not."""

    actions = {"GET": "scanner:read", "PUT": "scanner:create"}

    def authorise(self, action: str) -> None:
        """Visitors see public projects, but not by what they are scanned."""
        if not self.who.is_authenticated:
            raise Unauthorized
        super().authorise(action)

    def get(self, request: Request, project_name_or_id: str) -> Answer[ShownScanner | NothingScans]:
        scanner = scanners.of_project(self.project)
        return Answer(render(scanner) if scanner else {})

    def put(self, request: Request, project_name_or_id: str) -> Done:
        uuid = body.read(request, ScannerChoice).uuid
        if len(uuid) > 36:
            raise BadRequest("uuid is too long")
        lifecycle.update_project(project=self.project, actor=self.who, metadata={scanners.CHOICE: uuid})
        return Done()


class ScannerCandidatesView(ProjectView):
    actions = {"GET": "scanner:create"}

    def get(self, request: Request, project_name_or_id: str) -> Paged[ShownScanner]:
        return _page(request)
