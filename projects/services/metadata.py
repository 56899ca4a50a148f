"""The settings of a project: which there are, and what they may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from harborsite.db.prepared import gathered, prepared
from harborsite.errors import BadRequest, Conflict
from harborsite.principal import Principal
from projects.models import Project, ProjectMetadata
from projects.services import lifecycle

TRUE, FALSE = frozenset({"1", "t", "true"}), frozenset({"0", "f", "false"})
SEVERITIES = frozenset({"none", "negligible", "low", "medium", "high", "critical"})
FLAGS = frozenset(
    [
        "public",
        "enable_content_trust",
        "enable_content_trust_cosign",
        "prevent_vul",
        "auto_scan",
        "auto_sbom_generation",
        "reuse_sys_cve_allowlist",
    ]
)
OF_PROXIES = frozenset(
    [
        "proxy_speed_kb",
        "max_upstream_conn",
        "proxy_cache_filter_pattern",
        "proxy_cache_filter_kind",
        "proxy_referrer_api",
        "proxy_cache_local_on_not_found",
    ]
)
OPTIONAL = (FLAGS - {"public"}) | OF_PROXIES | {"severity", "retention_id"}
KEYS = OPTIONAL | {"public"}
_UNSET = dict.fromkeys(FLAGS, "false") | {"reuse_sys_cve_allowlist": "true"}


def of_project(project: Project) -> dict[str, str]:
    """All settings as the wire has them; what is not there has its default."""
    return of_projects([project])[project.pk]


def of_projects(projects: Sequence[Project]) -> Mapping[int, dict[str, str]]:
    """The same for several, by their ids."""
    found = {project.pk: {"public": "true" if project.public else "false"} for project in projects}
    for project_id, name, value in gathered(_stored, list(found)):
        if name in KEYS:
            found[project_id][name] = value
    return found


@prepared
def _stored(projects: list[int]) -> QuerySet[ProjectMetadata, tuple[int, str, str]]:
    return ProjectMetadata.objects.filter(project__in=projects).values_list("project_id", "name", "value")


def is_true(value: str) -> bool:
    return value.lower() in TRUE


def checked(name: str, value: str) -> str:
    """`value` as it is kept; raises BadRequest for what it can not be."""
    if name not in KEYS:
        raise BadRequest(_("invalid key: {key}").format(key=name[:100]))
    lower = value.lower()
    if name in FLAGS or name in {"proxy_referrer_api", "proxy_cache_local_on_not_found"}:
        if lower not in TRUE | FALSE:
            raise _bad(value)
        return "true" if lower in TRUE else "false"
    if name == "severity":
        if lower not in SEVERITIES:
            raise _bad(value)
        return "none" if lower == "negligible" else lower
    if name == "retention_id":
        raise BadRequest(_("retention_id is read only"))
    if name in {"proxy_speed_kb", "max_upstream_conn"} and not _is_rate(name, value):
        raise _bad(value)
    if name.startswith("proxy_cache_filter"):
        raise BadRequest(_("can not update the normal project with proxy cache filter metadata"))
    return value


def add(*, project: Project, values: Mapping[str, str], actor: Principal) -> None:
    """Set the one setting in `values`, which must not be set yet."""
    if len(values) != 1:
        raise BadRequest(_("only allow one key/value pair"))
    ((name, value),) = values.items()
    value = checked(name, value)
    if name in of_project(project):
        raise Conflict(_("metadata {name} already exists for project {id}").format(name=name, id=project.pk))
    _set(project, name, value, actor)


def change(*, project: Project, name: str, value: str, actor: Principal) -> None:
    """Set one setting, whether it was set or not."""
    _set(project, name, checked(name, value), actor)


def change_all(*, project: Project, values: Mapping[str, str], actor: Principal) -> None:
    """Set those of `values` that differ from what is in force; nothing is written or recorded where none does.

    A flag that is not set is off, but for reuse_sys_cve_allowlist, which is on.
    """
    kept = of_project(project)
    wanted = {name: checked(name, value) for name, value in values.items()}
    changed = {name: value for name, value in wanted.items() if value != kept.get(name, _UNSET.get(name))}
    if changed:
        public = changed.pop("public", None)
        lifecycle.update_project(
            project=project, actor=actor, public=None if public is None else is_true(public), metadata=changed
        )


def _set(project: Project, name: str, value: str, actor: Principal) -> None:
    public = is_true(value) if name == "public" else None
    rest = {} if name == "public" else {name: value}
    lifecycle.update_project(project=project, actor=actor, public=public, metadata=rest)


def _is_rate(name: str, value: str) -> bool:
    if value == "-1":
        return True
    return value.isascii() and value.isdigit() and len(value) < 10 and (name == "proxy_speed_kb" or int(value) > 0)


def _bad(value: str) -> BadRequest:
    return BadRequest(_("invalid value: {value}").format(value=value[:100]))
