"""Administration › Clean up: checking the storage, and what a check has set aside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from harborsite.jobs.kinds import CHECK_STORAGE
from harborsite.portal import cleanup, scope
from harborsite.portal.pages import administrators_only
from harborsite.portal.templatetags.portal import binary_size
from registry.services import check

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

_MOST = 200


class CheckForm(forms.Form):
    """How a check goes about it."""

    quick = forms.BooleanField(
        label=gettext_lazy("Compare sizes only"),
        required=False,
        help_text=gettext_lazy("Nothing is read: that takes seconds, and does not find bytes that have changed."),
    )


class CheckRuns(cleanup.SystemRuns):
    """Each with what it found."""

    def results(self, attrs: Mapping[str, Any]) -> str:
        if "faults" not in attrs:
            return ""
        counts = {name: attrs.get(name, 0) for name in ("blobs", "faults", "healed", "set_aside")}
        parts = [
            ngettext("{count} blob", "{count} blobs", counts["blobs"]).format(count=counts["blobs"]),
            binary_size(attrs.get("bytes", 0)),
            ngettext("{count} fault", "{count} faults", counts["faults"]).format(count=counts["faults"]),
        ]
        if counts["healed"]:
            parts.append(_("{count} healed").format(count=counts["healed"]))
        if counts["set_aside"]:
            parts.append(_("{count} set aside").format(count=counts["set_aside"]))
        return ", ".join(parts)


class StorageCheck(cleanup.SystemJob):
    """The third tab of the clean-up, and the quarantine below it."""

    vendor_type = CHECK_STORAGE
    view, below = "check_runs", "clean-up/storage/"
    run_title = gettext_lazy("Check the storage now")
    run_label = gettext_lazy("Check now")
    run_intro = gettext_lazy(
        "The digest of every blob is verified. Damaged blobs are served no more, so that the next push sends them "
        "again; wrong bytes, and bytes that belong to nothing, go into quarantine."
    )
    dry_run_intro = gettext_lazy("Nothing is changed: the log tells what is wrong.")
    form, runs = CheckForm, CheckRuns

    def parameters(self, data: Mapping[str, Any]) -> dict[str, Any]:
        return {"quick": data["quick"]}

    def entered(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return {"quick": parameters.get("quick") is True}

    def facts(self, parameters: Mapping[str, Any]) -> list[tuple[_StrOrPromise, str]]:
        return [(_("Looked at"), _("sizes only") if parameters.get("quick") else _("every byte"))]

    def tools(self) -> list[tuple[str, str]]:
        return [(_("Quarantine"), reverse("admin:quarantine"))]

    def urls(self) -> list[URLPattern]:
        quarantine = administrators_only(self.site, self.quarantine)
        return [path(f"{self.below}quarantine/", quarantine, name="quarantine"), *super().urls()]

    def quarantine(self, request: HttpRequest) -> HttpResponse:
        """What is aside, and removing some or all of it after a question."""
        here, found = reverse("admin:quarantine"), check.quarantined()
        frame = self.site.each_context(request) | {
            "crumbs": self._crumbs(_("Quarantine")),
            "title": _("Quarantine"),
        }
        if request.method != "POST":
            nothing = _("Belongs to nothing")
            context = {
                "rows": [(each, each.status.label if each.status else nothing) for each in found[:_MOST]],
                "count": len(found),
                "size": sum(each.size for each in found),
                "most": _MOST,
            }
            return render(request, "registry/quarantine.html", frame | context)
        everything = "all" in request.POST
        asked = set(request.POST.getlist("_selected_action"))
        chosen = [each for each in found if everything or each.digest in asked]
        if "confirmed" in request.POST:
            visitor = scope.visitor(request)
            count = check.purge(digests={each.digest for each in chosen}, actor=visitor) if chosen else 0
            messages.success(request, _("{count} removed.").format(count=count))
            return HttpResponseRedirect(here)
        question = {
            "title": _("Remove what is in quarantine?"),
            "warning": _("These bytes are removed for good. Damaged blobs stay damaged until they are pushed again."),
            "rows": [_Chosen(each.digest, binary_size(each.size)) for each in chosen],
            "submit_label": _("Remove"),
            "back_url": here,
        }
        return render(request, "portal/confirmation.html", frame | question)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What the confirmation names, and what it posts again."""

    pk: str
    size: str

    def __str__(self) -> str:
        return f"{self.pk}  {self.size}"
