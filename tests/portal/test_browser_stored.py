"""Markup in every text that the database and the store hold, on every page, in a real browser: shown, never run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from django.apps import apps
from playwright.sync_api import Browser, Dialog, Page
from pytest_django.live_server_helper import LiveServer

from projects.models import Project, User
from projects.services.settings import change_settings
from registry.models import Artifact, ArtifactLabel
from registry.oci import media_types
from tests.api.test_content import chart
from tests.portal.browsing import watched
from tests.portal.sample import keep, make_artifact, make_registry
from tests.portal.screenshots import PAGES, sign_in, visit

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
# Ends an attribute and an element, and opens one that would run; in Markdown a link that would. Then where it is from.
HARM = """'"></textarea></title><img data-harm src=x onerror=alert(1)> [run](javascript:alert(1)) from:{place}:"""
# What is compared with a list of ours, checked letter by letter on its way in, or made by the server itself.
FIXED = {
    "jobs": "vendor_type cron_type cron worker unit",
    "audit": "operation resource_type leader",
    "projects": "Project.name Robot.name User.username password source language creator_type secret hidden_columns "
    "Setting.key Setting.value ProjectMetadata.name ProjectMetadata.value",
    "registry": "Repository.name Tag.name repository_name digest subject_digest accessory_type type fingerprint cron "
    "manifest_media_type sha256 uuid",
    "replication": "type vendor credential_type auth_mode cron access_secret auth_info",
}
FIXED_KEYS = {"type", "template", "kind", "decoration", "payload_format", "resource", "action", "event_type", "dry_run"}
FIXED_KEYS |= {"resource_type", "operation", "include_event_types"}
# Texts that no page shows, each with the reason.
NOT_SHOWN = {
    "Artifact.media_type": "decides of which type the artifact is",
    "Label.color": "decides which class the label has",
    "Scanner.credential": "sealed, and shown to nobody",
}
OPEN_TO_A_GUEST = (
    *("projects", "summary", "storage", "repositories", "artifacts", "artifact", "copy", "members", "project-robots"),
    *("logs", "search", "profile", "preferences"),
)
FAULTS = r"""() => {
  const links = [...document.querySelectorAll("[href], [src], [action], [formaction]")];
  const runs = (name) => (link) => /^\s*(javascript|data):/i.test(link.getAttribute(name) || "");
  return {
    made: document.querySelectorAll("[data-harm], [onerror]").length,
    links: ["href", "src", "action", "formaction"].flatMap((name) => links.filter(runs(name))).map((l) => l.outerHTML),
    shown: [...document.documentElement.outerHTML.matchAll(/from:([\w.]+):/g)].map((found) => found[1]),
  };
}"""


def spoil() -> set[str]:
    """Append the harm to every text that somebody may have chosen; returns the places, as `Model.field`."""
    places = set()
    for model in apps.get_models():
        fixed = FIXED.get(model._meta.app_label, "*").split()
        for field in model._meta.concrete_fields:
            place = f"{model.__name__}.{field.name}"
            is_text = field.get_internal_type() in {"CharField", "TextField", "JSONField"} and not field.choices
            if fixed == ["*"] or not is_text or {field.name, place} & {*fixed}:
                continue
            for row in model._default_manager.all():
                was = getattr(row, field.name)
                now = _spoilt(was, HARM.format(place=place))
                if now != was:
                    places.add(place)
                    model._default_manager.filter(pk=row.pk).update(**{field.name: now})
    return places


def _spoilt(value: Any, harm: str, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _spoilt(part, harm, name) for name, part in value.items()}
    if isinstance(value, list) and key != "event_types":
        return [_spoilt(part, harm, key) for part in value]
    return value + harm if isinstance(value, str) and value and key not in FIXED_KEYS else value


def fill_what_is_empty(shop: Project, admin: User) -> None:
    """Texts that the pictures do without, and what artifacts bring along."""
    User.objects.update(comment="Comes", realname="Somebody")
    harmful = HARM.format(place="config")
    newest = Artifact.objects.get(repository__name="web-shop/storefront", tags__name="latest")
    history = [{"created": "2026-01-01T00:00:00Z", "created_by": harmful}]
    built = make_artifact(newest.repository, "built", config={"history": history, "os": harmful})
    Artifact.objects.filter(pk=built.pk).update(annotations={"org.example": "x"}, artifact_type="application/x")
    files = {"app/values.yaml": HARM.format(place="values"), "app/README.md": "# App\n\n" + HARM.format(place="readme")}
    packed = chart({name: text.encode() for name, text in files.items()})
    for blob in packed.blobs:
        keep(blob.data)
    again = make_artifact(newest.repository, "packed", type=media_types.CHART, media_type=media_types.HELM_CONFIG)
    Artifact.objects.filter(pk=again.pk).update(manifest=packed.data, digest=packed.digest)
    for label in shop.labels.all():
        ArtifactLabel.objects.create(artifact=built, label=label)
    change_settings(values={"banner_message": HARM.format(place="banner")}, actor=admin)


def visited(page: Page, address: str, listed: Iterable[str]) -> tuple[set[str], list[str]]:
    """What was shown on these pages, and what is wrong with them."""
    shown, wrong = set[str](), []
    for path in listed:
        visit(page, address + path)
        found = page.evaluate(FAULTS)
        shown |= set(found["shown"])
        if found["made"] or found["links"]:
            wrong.append(f"{path}: {found['made']} elements, {found['links']}")
    return shown, wrong


def test_markup_in_stored_texts_is_shown_and_never_run(browser: Browser, live_server: LiveServer) -> None:
    """As an administrator on every page, as a guest on those that are open to one.

    The policy is switched off, which would stop what got through: nothing has to get through.
    """
    admin = make_registry()
    shop = Project.objects.get(name="web-shop")
    fill_what_is_empty(shop, admin)
    places = spoil() | {"config", "values", "readme", "banner"}
    assert len(places) > 30
    front = "/projects/web-shop/repositories/storefront"
    artifacts = [f"{front}@{row.digest}/" for row in Artifact.objects.filter(tags__name__in=("built", "packed"))]
    index = Artifact.objects.get(repository__name="web-shop/payments/gateway", tags__name="stable")
    artifacts.append(f"/projects/web-shop/repositories/payments/gateway@{index.digest}/")
    labelled = f"{front}/?label={shop.labels.earliest('pk').pk}"
    searches = ["/search/?q=from", "/projects/web-shop/members/?q=from", labelled]
    readable = [PAGES[name] for name in OPEN_TO_A_GUEST]
    for who, listed in (("admin", PAGES.values()), ("tom", readable)):
        watch = watched(browser, live_server, "en", 1440, "light", bypass_csp=True)
        asked: list[str] = []

        def dismiss(dialog: Dialog, asked: list[str] = asked) -> None:
            asked.append(dialog.message)
            dialog.dismiss()

        watch.page.on("dialog", dismiss)
        sign_in(watch.page, live_server.url, who)
        shown, wrong = visited(watch.page, live_server.url, [*listed, *artifacts, *searches])
        assert not wrong, "\n".join(wrong)
        assert not asked
        watch.check()
        watch.page.context.close()
        assert {"config", "readme", "banner", "Repository.description", "Label.name"} <= shown
        if who == "admin":
            assert places - shown == NOT_SHOWN.keys()
