"""Scanners: registered, asked what they can do, chosen; scanning itself is not here."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, TypedDict

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite.errors import BadRequest, PreconditionFailed
from harborsite.outbound import Client, Origin, OutboundError
from harborsite.principal import Principal
from harborsite.sealing import seal, unseal
from projects.models import Project
from projects.services import lifecycle
from registry.errors import ScannerExists
from registry.models import Scanner

RESERVED = "Trivy"  # the name of the scanner that comes with a Harbor
TIMEOUT_SECONDS = 5.0
METADATA_TYPE = "application/vnd.scanner.adapter.metadata+json; version=1.0"
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CHOICE = "projectScanner"  # the setting of a project that names a scanner
VULNERABILITY, SBOM = "vulnerability", "sbom"


class Adapter(TypedDict):
    name: str
    vendor: str
    version: str


class Capability(TypedDict):
    """An old adapter does not say its type: it finds vulnerabilities."""

    type: str
    consumes_mime_types: list[str]
    produces_mime_types: list[str]


class Metadata(TypedDict):
    scanner: Adapter
    capabilities: list[Capability]
    properties: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What is said about a scanner; `credential` is plain here, and empty leaves the stored one."""

    name: str
    url: str
    description: str = ""
    auth: str = ""
    credential: str = ""
    skip_verify: bool = False
    use_internal_address: bool = False
    disabled: bool = False


def check_name(name: str, scanner: Scanner | None = None) -> None:
    """Raise where another scanner has this name."""
    found = Scanner.objects.filter(name=name).first()
    if found and found != scanner:
        raise ScannerExists


def register(*, description: Description, actor: Principal) -> Scanner:
    """Add a scanner whose adapter answers; the first one is the default."""
    scanner = Scanner()
    _fill(scanner, description)
    _require_free(scanner)
    scanner.capabilities = capabilities(metadata(scanner))
    with transaction.atomic():
        scanner.is_default = not Scanner.objects.filter(is_default=True).exists()
        _save(scanner, Operation.CREATE, actor)
    return scanner


def update(*, scanner: Scanner, description: Description, actor: Principal) -> None:
    """Describe it anew, if its adapter answers then."""
    _fill(scanner, description)
    if scanner.disabled and scanner.is_default:
        raise PreconditionFailed(_("the default scanner cannot be disabled"))
    _require_free(scanner)
    scanner.capabilities = capabilities(metadata(scanner))
    with transaction.atomic():
        _save(scanner, Operation.UPDATE, actor)


def make_default(*, scanner: Scanner, actor: Principal) -> None:
    if scanner.disabled:
        raise PreconditionFailed(_("a disabled scanner cannot be the default one"))
    with transaction.atomic():
        Scanner.objects.exclude(pk=scanner.pk).update(is_default=False)
        scanner.is_default = True
        _save(scanner, Operation.UPDATE, actor)


def set_enabled(*, scanner: Scanner, enabled: bool, actor: Principal) -> None:
    """Its adapter is not asked."""
    if not enabled and scanner.is_default:
        raise PreconditionFailed(_("the default scanner cannot be disabled"))
    scanner.disabled = not enabled
    with transaction.atomic():
        _save(scanner, Operation.UPDATE, actor)


def delete(*, scanner: Scanner, actor: Principal) -> None:
    with transaction.atomic():
        _record(scanner, Operation.DELETE, actor)
        Scanner.objects.filter(pk=scanner.pk).delete()


def ping(*, description: Description, scanner: Scanner | None = None) -> Metadata:
    """What an adapter so described says of itself; raises OutboundError where it does not. Nothing is stored.

    With a `scanner` it is asked as `update` would.
    """
    asked = scanner or Scanner()
    _fill(asked, description)
    return metadata(asked)


def choose(*, project: Project, scanner: Scanner | None, actor: Principal) -> None:
    """Let the project use this one, or whichever is the default for None."""
    if scanner is None:
        lifecycle.remove_metadata(project=project, name=CHOICE, actor=actor)
    else:
        lifecycle.update_project(project=project, actor=actor, metadata={CHOICE: scanner.uuid})


def chosen_by(project: Project) -> Scanner | None:
    """The one that the project chose; None where it takes the default one."""
    uuid = project.metadata.filter(name=CHOICE).values_list("value", flat=True).first()
    return Scanner.objects.filter(uuid=uuid).first() if uuid else None


def of_project(project: Project) -> Scanner | None:
    """The one that the project chose, or the default one."""
    return chosen_by(project) or Scanner.objects.filter(is_default=True).first()


def metadata(scanner: Scanner) -> Metadata:
    """What the adapter says of itself, as far as it is known to us."""
    headers = {"Accept": METADATA_TYPE, **_credentials(scanner)}
    address = f"{scanner.url}/api/v1/metadata"
    with (
        Client(verify=not scanner.skip_verify, timeout=TIMEOUT_SECONDS) as client,
        client.request("GET", address, headers=headers) as answer,
    ):
        if answer.status != 200:
            raise OutboundError(_("{url} answers with {status}").format(url=address, status=answer.status))
        found = answer.json()
    try:
        return _understood(found)
    except (TypeError, KeyError, ValueError):
        raise OutboundError(_("{url} is no scanner's adapter").format(url=address)) from None


def _understood(found: Any) -> Metadata:
    """Raise TypeError, KeyError or ValueError for what no adapter says."""
    able: list[Capability] = [
        {
            "type": str(each.get("type") or VULNERABILITY),
            "consumes_mime_types": [str(kind) for kind in each["consumes_mime_types"]],
            "produces_mime_types": [str(kind) for kind in each["produces_mime_types"]],
        }
        for each in map(dict, found["capabilities"])
    ]
    if not able or not all(MANIFEST_TYPE in each["consumes_mime_types"] for each in able):
        raise ValueError("it scans no images")
    told = dict(found["scanner"])
    return {
        "scanner": {"name": str(told["name"]), "vendor": str(told["vendor"]), "version": str(told["version"])},
        "capabilities": able,
        "properties": {str(name): str(value) for name, value in dict(found.get("properties") or {}).items()},
    }


def capabilities(told: Metadata) -> dict[str, bool]:
    kinds = {each["type"] for each in told["capabilities"]}
    return {f"support_{kind}": True for kind in (VULNERABILITY, SBOM) if kind in kinds}


def _credentials(scanner: Scanner) -> dict[str, str]:
    secret = unseal(scanner.credential)
    match scanner.auth:
        case Scanner.Auth.BASIC:
            return {"Authorization": "Basic " + base64.b64encode(secret.encode()).decode()}
        case Scanner.Auth.BEARER:
            return {"Authorization": f"Bearer {secret}"}
        case Scanner.Auth.API_KEY:
            return {"X-ScannerAdapter-API-Key": secret}
        case _:
            return {}


def _fill(scanner: Scanner, given: Description) -> None:
    """The stored credential never goes to another place or under weaker checks."""
    url = given.url.strip().rstrip("/")
    Origin.of(url)
    if not given.name.strip():
        raise BadRequest(_("missing registration name"))
    if given.name == RESERVED:
        raise BadRequest(_('name "{name}" is reserved, please try a different name').format(name=RESERVED))
    for text, most in ((given.name, 128), (given.description, 1024), (url, 512)):
        if len(text) > most:
            raise BadRequest(_("at most {count} characters are kept").format(count=most))
    if given.auth not in Scanner.Auth.values:
        raise BadRequest(_("auth type {type} is not supported").format(type=given.auth[:32]))
    if url != scanner.url or (given.skip_verify and not scanner.skip_verify) or given.auth != scanner.auth:
        scanner.credential = ""
    if given.credential:
        scanner.credential = seal(given.credential)
    if given.auth and not scanner.credential:
        raise BadRequest(_("access_credential is required for auth type {type}").format(type=given.auth))
    scanner.name, scanner.description, scanner.url, scanner.auth = given.name, given.description, url, given.auth
    scanner.skip_verify, scanner.use_internal_address = given.skip_verify, given.use_internal_address
    scanner.disabled = given.disabled


def _require_free(scanner: Scanner) -> None:
    others = Scanner.objects.exclude(pk=scanner.pk)
    if others.filter(name=scanner.name).exists() or others.filter(url=scanner.url).exists():
        raise ScannerExists


def _save(scanner: Scanner, operation: Operation, actor: Principal) -> None:
    try:
        with transaction.atomic():
            scanner.save()
    except IntegrityError:
        raise ScannerExists from None
    _record(scanner, operation, actor)


def _record(scanner: Scanner, operation: Operation, actor: Principal) -> None:
    audit.record(
        actor=actor, operation=operation, resource_type=ResourceType.CONFIGURATION, resource=f"scanner {scanner.name}"
    )
