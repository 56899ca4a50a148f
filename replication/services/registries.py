"""Registries elsewhere: describing them, asking whether they are there, forgetting them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit, urlunsplit

from cryptography import x509
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite.errors import AppError, BadRequest
from harborsite.outbound import Origin
from harborsite.principal import Principal
from harborsite.sealing import seal
from replication.adapters.base import connect, kind_of
from replication.errors import RegistryExists, RegistryInUse, RegistryUnhealthy
from replication.models import Registry

logger = logging.getLogger("replication")

MAX_NAME = 64
CREDENTIAL_TYPES = frozenset({"", "basic", "oauth", "secret"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What is said about a registry; `access_secret` is plain here, and None leaves the stored one."""

    name: str
    type: str
    url: str
    description: str = ""
    credential_type: str = ""
    access_key: str = ""
    access_secret: str | None = None
    insecure: bool = False
    ca_certificate: str = ""


def check_name(name: str, registry: Registry | None = None) -> None:
    """Raise where another registry has this name."""
    found = Registry.objects.filter(name=name).first()
    if found and found != registry:
        raise _exists(name)


def create_registry(*, description: Description, actor: Principal) -> Registry:
    """Add a registry that answers and takes the credentials."""
    registry = Registry()
    _fill(registry, _checked(description))
    check_name(registry.name, registry)
    _require_healthy(registry)
    _save(registry, Operation.CREATE, actor)
    return registry


def update_registry(*, registry: Registry, changes: Mapping[str, str | bool], actor: Principal) -> Registry:
    """Change what `changes` names, if the registry answers then."""
    _fill(registry, _changed(registry, changes))
    check_name(registry.name, registry)
    _require_healthy(registry)
    _save(registry, Operation.UPDATE, actor)
    return registry


def delete_registry(*, registry: Registry, actor: Principal) -> None:
    if registry.policies_from.exists() or registry.policies_to.exists():
        message = _("the registry {id} is referenced by replication policies, cannot delete it")
        raise RegistryInUse(message.format(id=registry.pk))
    with transaction.atomic():
        _record(registry, Operation.DELETE, actor)
        registry.delete()


def ping(*, description: Description) -> None:
    """Raise RegistryUnhealthy unless a registry so described answers; nothing is stored."""
    registry = Registry()
    _fill(registry, replace(description, url=_normal_url(description.url)))
    _require_healthy(registry)


def ping_stored(*, registry: Registry, changes: Mapping[str, str]) -> None:
    """The same for a stored one, perhaps with other credentials; its address is never another one."""
    _fill(registry, replace(describe(registry), **changes))  # type: ignore[arg-type]  # texts alone
    _require_healthy(registry)


def ping_changed(*, registry: Registry, changes: Mapping[str, str | bool]) -> None:
    """Whether `update_registry` would find an answer; nothing is stored."""
    _fill(registry, _changed(registry, changes))
    _require_healthy(registry)


def check_all() -> None:
    """Note which registries answer."""
    for registry in Registry.objects.all():
        try:
            _require_healthy(registry)
        except RegistryUnhealthy as error:
            logger.info("registry unhealthy", extra={"registry": registry.name, "reason": error.message})
            registry.status = Registry.Status.UNHEALTHY
        Registry.objects.filter(pk=registry.pk).update(status=registry.status)


def describe(registry: Registry) -> Description:
    """A stored registry's description, without its secret."""
    names = ("name", "type", "url", "description", "credential_type", "access_key", "insecure", "ca_certificate")
    return Description(**{name: getattr(registry, name) for name in names})


def _changed(registry: Registry, changes: Mapping[str, str | bool]) -> Description:
    """What it will be. The stored secret never goes to another place or under weaker checks."""
    new = _checked(replace(describe(registry), **changes))  # type: ignore[arg-type]  # the edge has typed them
    trusts_less = (new.insecure and not registry.insecure) or new.ca_certificate != registry.ca_certificate
    if new.access_secret is None and (new.url != registry.url or trusts_less):
        return replace(new, access_secret="")
    return new


def _checked(given: Description) -> Description:
    """The description in the form that is stored, or BadRequest."""
    if not given.name:
        raise BadRequest(_("name cannot be empty"))
    if len(given.name) > MAX_NAME:
        raise BadRequest(_("the name may have {count} characters at most").format(count=MAX_NAME))
    kind_of(given.type)
    if given.credential_type not in CREDENTIAL_TYPES:
        raise BadRequest(_("unknown credential type: {type}").format(type=given.credential_type[:32]))
    if len(given.access_key) > 255:
        raise BadRequest(_("the access ID is too long"))
    return replace(given, url=_normal_url(given.url), ca_certificate=_checked_pem(given.ca_certificate))


def _normal_url(url: str) -> str:
    """`scheme://host/path`, without query and trailing slash."""
    Origin.of(url.strip())
    parts = urlsplit(url.strip())
    normal = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
    if len(normal) > 512:
        raise BadRequest(_("the address is too long"))
    return normal


def _checked_pem(text: str) -> str:
    if text:
        try:
            x509.load_pem_x509_certificates(text.encode())
        except ValueError:
            raise BadRequest(_("the CA certificate is not a PEM certificate")) from None
    return text


def _fill(registry: Registry, given: Description) -> None:
    for name in ("name", "type", "url", "description", "credential_type", "access_key", "insecure", "ca_certificate"):
        setattr(registry, name, getattr(given, name))
    if given.access_secret is not None:
        registry.access_secret = seal(given.access_secret)


def _exists(name: str) -> RegistryExists:
    return RegistryExists(_("registry {name} already exists").format(name=name))


def _require_healthy(registry: Registry) -> None:
    try:
        with connect(registry) as adapter:
            adapter.check()
    except AppError as error:
        raise RegistryUnhealthy(_("the registry is unhealthy: {reason}").format(reason=error.message)) from error
    registry.status = Registry.Status.HEALTHY


def _save(registry: Registry, operation: Operation, actor: Principal) -> None:
    with transaction.atomic():
        try:
            with transaction.atomic():
                registry.save()
        except IntegrityError:
            raise _exists(registry.name) from None
        _record(registry, operation, actor)


def _record(registry: Registry, operation: Operation, actor: Principal) -> None:
    audit.record(actor=actor, operation=operation, resource_type=ResourceType.REGISTRY, resource=registry.name)
