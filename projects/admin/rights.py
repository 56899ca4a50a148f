"""Choosing rights for a robot account: a table of what may be granted, resource by resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext_lazy as _

from projects.permissions import GRANTABLE_PROJECT, GRANTABLE_SYSTEM
from projects.services.robots import Access, Grant

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

RESOURCES: Mapping[str, _StrOrPromise] = {
    "accessory": _("Accessory"),
    "artifact": _("Artifact"),
    "artifact-addition": _("Artifact addition"),
    "artifact-label": _("Artifact label"),
    "audit-log": _("Audit log"),
    "catalog": _("Catalogue"),
    "export-cve": _("CVE export"),
    "garbage-collection": _("Garbage collection"),
    "immutable-tag": _("Immutable tags"),
    "jobservice-monitor": _("Job service"),
    "label": _("Label"),
    "ldap-user": _("LDAP user"),
    "log": _("Log"),
    "member": _("Member"),
    "metadata": _("Project settings"),
    "notification-policy": _("Webhook"),
    "preheat-instance": _("Preheat instance"),
    "preheat-policy": _("Preheat policy"),
    "project": _("Project"),
    "purge-audit": _("Log rotation"),
    "quota": _("Quota"),
    "registry": _("Registry"),
    "replication": _("Replication"),
    "replication-adapter": _("Replication adapter"),
    "replication-policy": _("Replication rule"),
    "repository": _("Repository"),
    "robot": _("Robot account"),
    "sbom": _("SBOM"),
    "scan": _("Scan"),
    "scan-all": _("Scan of everything"),
    "scanner": _("Scanner"),
    "security-hub": _("Security hub"),
    "system-volumes": _("Storage volumes"),
    "tag": _("Tag"),
    "tag-retention": _("Tag retention"),
    "user": _("User"),
    "user-group": _("User group"),
}
VERBS: Mapping[str, _StrOrPromise] = {
    "create": _("create"),
    "read": _("read"),
    "update": _("update"),
    "delete": _("delete"),
    "list": _("list"),
    "pull": _("pull"),
    "push": _("push"),
    "stop": _("stop"),
}


class RightsField(forms.MultipleChoiceField):
    """Some of the rights in `grantable`, as `resource:verb`."""

    widget = forms.SelectMultiple  # drawn as a table by the template

    def __init__(self, grantable: Mapping[str, str], **kwargs: Any) -> None:
        self.grantable = grantable
        choices = [(f"{resource}:{verb}", "") for resource, verbs in grantable.items() for verb in verbs.split()]
        super().__init__(choices=choices, required=False, **kwargs)

    def rows(self, chosen: Sequence[str]) -> list[tuple[_StrOrPromise, list[tuple[str, _StrOrPromise, bool]]]]:
        """For each resource its name and the boxes: value, label, whether it is ticked."""
        by_name = sorted(self.grantable.items(), key=lambda item: str(RESOURCES[item[0]]))
        return [
            (
                RESOURCES[resource],
                [
                    (f"{resource}:{verb}", VERBS[verb], f"{resource}:{verb}" in chosen)
                    for verb in sorted(verbs.split(), key=list(VERBS).index)
                ],
            )
            for resource, verbs in by_name
        ]


def project_field(label: _StrOrPromise) -> RightsField:
    return RightsField(GRANTABLE_PROJECT, label=label)


def system_field(label: _StrOrPromise) -> RightsField:
    return RightsField(GRANTABLE_SYSTEM, label=label)


def as_access(chosen: Sequence[str]) -> list[Access]:
    pairs = (right.split(":") for right in chosen)
    return [{"resource": resource, "action": verb} for resource, verb in pairs]


def chosen_in(grants: Sequence[Grant], kind: str) -> list[str]:
    """What the grants of this kind hold, as the form's values."""
    return [
        f"{access['resource']}:{access['action']}"
        for grant in grants
        if grant["kind"] == kind
        for access in grant["access"]
        if access.get("effect", "") in {"", "allow"}
    ]
