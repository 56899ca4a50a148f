"""Administration › Scanners, and the Scanner tab of a project."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from audit.models import AuditLog
from harborsite.sealing import seal, unseal
from projects.models import Project, User
from registry.models import Scanner
from registry.services import scanners
from tests.portal.conftest import SignedIn
from tests.portal.guarded import SECRET, guarded
from tests.test_outbound import Server, page

People = dict[str, User | None]
ABLE = {"type": "vulnerability", "consumes_mime_types": [scanners.MANIFEST_TYPE], "produces_mime_types": ["report"]}
SAID = {
    "scanner": {"name": "Finder", "vendor": "Ours", "version": "3.1"},
    "capabilities": [ABLE],
    "properties": {"db": "<new>"},
}
ANSWERS = "Finder 3.1 by Ours answers. It finds: Vulnerabilities."
TAB = "/projects/library/scanner/"


@pytest.fixture(autouse=True)
def adapter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A scanner's adapter on loopback that wants these credentials, and remembers what it was asked."""
    with guarded(monkeypatch, "/api/v1/metadata", json.dumps(SAID).encode()) as server:
        yield server


def entered(server: Server, **changes: str) -> dict[str, str]:
    fields = {"name": "finder", "url": server.url, "auth": "Basic", "username": "robot", "secret": SECRET}
    return {**fields, "verify": "on", "enabled": "on", **changes}


def stored(server: Server, **changes: Any) -> Scanner:
    fields = {"name": "finder", "url": server.url, "auth": "Basic", "credential": seal(f"robot:{SECRET}")}
    return Scanner.objects.create(**{**fields, "capabilities": {"support_vulnerability": True}, **changes})


def act(client: Client, action: str, *rows: Scanner, **extra: str) -> str:
    chosen = {"action": action, "_selected_action": [row.pk for row in rows], "index": "0", **extra}
    return str(client.post("/scanners/", chosen, follow=True).content.decode())


def test_a_scanner_is_added_listed_and_its_credential_never_shown(boss: Client, adapter: Server) -> None:
    assert "No scanner yet." in boss.get("/scanners/").content.decode()
    shown = boss.post("/scanners/new/", entered(adapter), follow=True).content.decode()
    scanner = Scanner.objects.get()
    assert unseal(scanner.credential) == f"robot:{SECRET}"
    assert scanner.is_default
    assert AuditLog.objects.filter(resource="scanner finder", operation="create").exists()
    for text in ("The scanner has been saved.", "finder", adapter.url, "Basic", "Vulnerabilities", "Default"):
        assert text in shown, text
    for address in ("/scanners/", f"/scanners/{scanner.pk}/"):
        assert SECRET not in boss.get(address).content.decode()


def test_a_refusal_is_shown_in_the_form_and_nothing_is_kept(boss: Client, adapter: Server) -> None:
    wrong = {
        "answers with 401": {"secret": "wrong-52"},
        "together": {"username": ""},
        "reserved": {"name": "Trivy"},
        "required": {"name": ""},
        "access_credential is required": {"username": "", "secret": ""},
        "answers with 404": {"url": f"{adapter.url}/other"},
    }
    adapter.pages["/other/api/v1/metadata"] = page(b"", status=404)
    for text, changes in wrong.items():
        answer = boss.post("/scanners/new/", entered(adapter, **changes))
        assert text in answer.content.decode(), text
        assert "wrong-52" not in answer.content.decode()
    for url in ("ftp://example.com", "http://169.254.169.254/", "nonsense"):
        assert 'class="error"' in boss.post("/scanners/new/", entered(adapter, url=url)).content.decode(), url
    assert not Scanner.objects.exists()
    stored(adapter)
    assert "there is a scanner of this name" in boss.post("/scanners/new/", entered(adapter)).content.decode()


def test_the_connection_is_tested_without_keeping_anything(boss: Client, adapter: Server) -> None:
    good = boss.post("/scanners/new/", entered(adapter, test="yes")).content.decode()
    assert f'<div class="answer success">{ANSWERS}<details>' in good
    assert f'<dt>Vulnerabilities, reads</dt><dd><div class="mono">{scanners.MANIFEST_TYPE}</div></dd>' in good
    assert '<dt>Vulnerabilities, writes</dt><dd><div class="mono">report</div></dd>' in good
    assert "<dt>db</dt><dd>&lt;new&gt;</dd>" in good
    bad = boss.post("/scanners/new/", entered(adapter, secret="x", test="yes")).content.decode()
    assert '<div class="answer error">' in bad
    assert "answers with 401" in bad
    assert '<div class="answer error">' in boss.post("/scanners/new/", {"test": "yes"}).content.decode()
    assert SECRET not in good
    assert not Scanner.objects.exists()


def test_a_stored_credential_goes_to_its_own_address_alone(boss: Client, adapter: Server) -> None:
    scanner = stored(adapter)
    address, keep = f"/scanners/{scanner.pk}/", entered(adapter, username="", secret="", test="yes")
    assert ANSWERS in boss.post(address, keep).content.decode()
    adapter.seen.clear()
    other = {**keep, "url": f"http://localhost:{adapter.port}"}
    for changed in (other, {**keep, "auth": "Bearer"}, {k: v for k, v in keep.items() if k != "verify"}):
        assert "access_credential is required" in boss.post(address, changed).content.decode()
    assert adapter.seen == []
    scanner.refresh_from_db()
    assert (scanner.url, scanner.auth, unseal(scanner.credential)) == (adapter.url, "Basic", f"robot:{SECRET}")


def test_a_scanner_is_changed_and_keeps_its_credential(boss: Client, adapter: Server) -> None:
    scanner = stored(adapter)
    given = entered(adapter, username="", secret="", name="seeker", description="In the cellar")
    del given["enabled"]
    assert "The scanner has been saved." in boss.post(f"/scanners/{scanner.pk}/", given, follow=True).content.decode()
    scanner.refresh_from_db()
    assert (scanner.name, scanner.description, scanner.disabled) == ("seeker", "In the cellar", True)
    assert unseal(scanner.credential) == f"robot:{SECRET}"
    boss.post(f"/scanners/{scanner.pk}/", {**given, "auth": ""})
    adapter.pages["/api/v1/metadata"] = page(json.dumps(SAID).encode())
    boss.post(f"/scanners/{scanner.pk}/", {**given, "auth": ""})
    scanner.refresh_from_db()
    assert (scanner.auth, scanner.credential) == ("", "")


def test_one_is_the_default_and_it_cannot_be_disabled(boss: Client, adapter: Server) -> None:
    first, second = stored(adapter, is_default=True), stored(adapter, name="second", url=f"{adapter.url}/2")
    assert "the default scanner cannot be disabled" in act(boss, "disable", first)
    assert "Choose one" in act(boss, "make_default", first, second)
    act(boss, "disable", second)
    assert "a disabled scanner cannot be the default one" in act(boss, "make_default", second)
    act(boss, "enable", second)
    act(boss, "make_default", second)
    for scanner, is_default in ((first, False), (second, True)):
        scanner.refresh_from_db()
        assert (scanner.is_default, scanner.disabled) == (is_default, False)
    assert adapter.seen == []


def test_chosen_ones_are_asked_whether_they_answer(boss: Client, adapter: Server) -> None:
    here, gone = stored(adapter), stored(adapter, name="gone", url=f"{adapter.url}/gone")
    shown = act(boss, "test_chosen", here, gone)
    assert f'<li class="success">finder: {ANSWERS}<details>' in shown
    assert '<li class="error">gone: ' in shown
    asked = len(adapter.seen)
    many = [stored(adapter, name=f"finder-{n}", url=f"{adapter.url}/{n}") for n in range(6)]
    assert "Choose at most 5 at once" in act(boss, "test_chosen", *many)
    assert len(adapter.seen) == asked == 2


def test_deleting_asks_first(boss: Client, adapter: Server) -> None:
    scanner = stored(adapter)
    assert "Delete scanners?" in act(boss, "delete_chosen", scanner)
    assert Scanner.objects.exists()
    assert "1 deleted." in act(boss, "delete_chosen", scanner, confirmed="yes")
    assert not Scanner.objects.exists()


def test_what_people_typed_stays_text(boss: Client, adapter: Server, library: Project) -> None:
    script = "<script>alert(1)</script>"
    scanner = stored(adapter, name=script, description=script, is_default=True)
    for address in ("/scanners/", f"/scanners/{scanner.pk}/", TAB):
        shown = boss.get(address).content.decode()
        assert script not in shown
        assert "&lt;script&gt;" in shown
    said = {**SAID, "scanner": {"name": script, "vendor": script, "version": script}}
    adapter.pages["/api/v1/metadata"] = page(json.dumps(said).encode())
    shown = boss.post(TAB, {"test": "yes"}).content.decode()
    assert "&lt;script&gt;" in shown
    assert script not in shown


def test_nobody_else_reaches_scanners(alice: User, adapter: Server, signed_in: SignedIn) -> None:
    scanner = stored(adapter)
    for address in ("/scanners/", "/scanners/new/", f"/scanners/{scanner.pk}/"):
        for method in ("get", "post"):
            assert getattr(signed_in(alice), method)(address, entered(adapter, test="yes")).status_code == 403
            assert getattr(signed_in(None), method)(address).status_code == 302
    assert adapter.seen == []


@pytest.mark.parametrize("who", ["admin", "project admin", "maintainer", "developer"])
def test_who_works_in_a_project_sees_its_scanner_and_its_administrators_choose(
    who: str, people: People, library: Project, adapter: Server, signed_in: SignedIn
) -> None:
    client, may_choose = signed_in(people[who]), who in {"admin", "project admin"}
    assert "There is no scanner for this project." in client.get(TAB).content.decode()
    first = stored(adapter, is_default=True)
    second = stored(adapter, name="second", url=f"{adapter.url}/2")
    stored(adapter, name="resting", url=f"{adapter.url}/3", disabled=True)
    shown = client.get(TAB).content.decode()
    assert first.url in shown
    assert ("Select scanner" in shown) == may_choose
    assert (f'<span class="mono">{second.url}</span>' in shown) == may_choose
    assert "resting" not in shown
    assert ANSWERS in client.post(TAB, {"test": "yes"}).content.decode()
    answer = client.post(TAB, {"scanner": second.uuid})
    assert answer.status_code == (302 if may_choose else 403)
    assert scanners.of_project(library) == (second if may_choose else first)
    if may_choose:
        told = client.get("/api/v2.0/projects/library/scanner").json()
        assert told["name"] == "second"
        assert client.post(TAB, {"scanner": "unheard-of"}).status_code == 200
        assert scanners.of_project(library) == second
        Scanner.objects.filter(pk=second.pk).update(disabled=True)
        assert f'value="{second.uuid}"' in client.get(TAB).content.decode()
        client.post(TAB, {"scanner": ""})
        assert scanners.of_project(library) == first


@pytest.mark.parametrize("who", ["guest", "limited guest", "stranger", "nobody"])
def test_guests_and_strangers_do_not_see_the_scanner_of_a_project(
    who: str, people: People, commons: Project, adapter: Server, signed_in: SignedIn
) -> None:
    stored(adapter, is_default=True)
    for method in ("get", "post"):
        answer = getattr(signed_in(people[who]), method)("/projects/commons/scanner/", {"test": "yes"})
        assert answer.status_code == 403
    assert adapter.seen == []
