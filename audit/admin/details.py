"""What a record says beyond who did what to which: for people, in their language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from harborsite.portal.runs import kind_label
from harborsite.portal.templatetags.portal import binary_size, short_digest
from projects.models.quota import UNLIMITED
from projects.permissions import Role

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

_CHANGES: Mapping[str, _StrPromise] = {
    "CVE allowlist": gettext_lazy("CVE allowlist"),
    "disable": gettext_lazy("disabled"),
    "enable": gettext_lazy("enabled"),
    "no sysadmin": gettext_lazy("no administrator any more"),
    "not in the directory any more": gettext_lazy("not in the directory any more"),
    "password": gettext_lazy("new password"),
    "second factor off": gettext_lazy("second factor switched off"),
    "second factor on": gettext_lazy("second factor switched on"),
    "recovery code used": gettext_lazy("recovery code used"),
    "secret": gettext_lazy("new secret"),
    "source": gettext_lazy("another source"),
    "sysadmin": gettext_lazy("made administrator"),
}


def details(data: Mapping[str, Any]) -> str:
    """Of the row's own data, what is known here."""
    texts: list[str] = []
    if kind := data.get("vendor_type"):
        texts.append(kind_label(kind))
    if change := data.get("change"):
        texts.append(str(_CHANGES.get(change, change)))
    if source := data.get("source"):
        texts.append(_mono(source))
    if data.get("role") in Role.values:
        texts.append(str(Role(data["role"]).label))
    if project := data.get("project"):
        texts.append(_mono(project))
    if "from" in data and "to" in data:
        texts.append(f"{_limit(data['from'])} → {_limit(data['to'])}")
    if keys := data.get("keys"):
        texts.append(_mono(", ".join(keys)))
    if artifact := data.get("artifact"):
        name, _at, of_artifact = str(artifact).partition("@")
        texts.append(_mono(f"{name}@{short_digest(of_artifact)}"))
    if digest := data.get("digest"):
        texts.append(_mono(short_digest(digest)))
    return format_html_join(", ", "{}", ((text,) for text in [*texts, *_counts(data)]))


def _mono(text: object) -> str:
    return format_html('<span class="mono">{}</span>', text)


def _limit(size: int) -> str:
    return _("without limit") if size == UNLIMITED else binary_size(size)


def _counts(data: Mapping[str, Any]) -> list[str]:
    """What was found and what went."""
    found = []
    if manifests := data.get("manifests"):
        found.append(ngettext("{count} manifest", "{count} manifests", manifests).format(count=manifests))
    if blobs := data.get("blobs"):
        found.append(ngettext("{count} blob", "{count} blobs", blobs).format(count=blobs))
    if size := data.get("bytes"):
        found.append(binary_size(size))
    if faults := data.get("faults"):
        found.append(ngettext("{count} fault", "{count} faults", faults).format(count=faults))
    others = {"healed": _("{count} healed"), "set_aside": _("{count} set aside"), "purged": _("{count} removed")}
    return found + [text.format(count=data[name]) for name, text in others.items() if data.get(name)]
