"""Administration › Distributions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from audit.models import AuditLog
from harborsite.sealing import seal, unseal
from projects.models import User
from replication.models import PreheatInstance
from tests.portal.conftest import SignedIn
from tests.portal.guarded import CREDENTIALS, SECRET, guarded
from tests.test_outbound import Server

PAIR = {"username": "robot", "password": SECRET}


@pytest.fixture(autouse=True)
def peers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A distributor on loopback that wants these credentials, and remembers what it was asked."""
    with guarded(monkeypatch, "/healthy") as server:
        yield server


def entered(server: Server, **changes: str) -> dict[str, str]:
    fields = {"vendor": "dragonfly", "name": "peers", "endpoint": server.url, "auth_mode": "BASIC"}
    return {**fields, "username": "robot", "secret": SECRET, "verify": "on", "enabled": "on", **changes}


def stored(server: Server, **changes: Any) -> PreheatInstance:
    fields = {"vendor": "dragonfly", "name": "peers", "endpoint": server.url, "auth_mode": "BASIC"}
    return PreheatInstance.objects.create(**{**fields, "auth_info": seal(json.dumps(PAIR)), **changes})


def act(client: Client, action: str, *rows: PreheatInstance, **extra: str) -> str:
    chosen = {"action": action, "_selected_action": [row.pk for row in rows], "index": "0", **extra}
    return str(client.post("/distributions/", chosen, follow=True).content.decode())


def test_an_instance_is_added_listed_and_its_credentials_never_shown(boss: Client, peers: Server) -> None:
    assert "No instance yet." in boss.get("/distributions/").content.decode()
    shown = boss.post("/distributions/new/", entered(peers, is_default="on"), follow=True).content.decode()
    instance = PreheatInstance.objects.get()
    assert json.loads(unseal(instance.auth_info)) == PAIR
    assert AuditLog.objects.filter(resource="preheat instance peers", operation="create").exists()
    for text in ("The instance has been saved.", "peers", peers.url, "Dragonfly", "BASIC", "Default", "Enabled"):
        assert text in shown, text
    for address in ("/distributions/", f"/distributions/{instance.pk}/"):
        assert SECRET not in boss.get(address).content.decode()
    assert peers.seen == []
    boss.post("/distributions/new/", entered(peers, name="lab", endpoint="https://lab.example.com", auth_mode="OAUTH"))
    assert json.loads(unseal(PreheatInstance.objects.get(name="lab").auth_info)) == {"token": SECRET}


def test_a_refusal_is_shown_in_the_form_and_nothing_is_kept(boss: Client, peers: Server) -> None:
    wrong = {
        "together": {"username": ""},
        "letters, digits": {"name": "no spaces"},
        "required": {"endpoint": ""},
        "Select a valid choice": {"vendor": "napster"},
    }
    for text, changes in wrong.items():
        answer = boss.post("/distributions/new/", entered(peers, **changes))
        assert text in answer.content.decode(), text
        assert SECRET not in answer.content.decode()
    for url in ("ftp://example.com", "nonsense"):
        assert 'class="error"' in boss.post("/distributions/new/", entered(peers, endpoint=url)).content.decode(), url
    assert not PreheatInstance.objects.exists()
    stored(peers)
    assert "already exists" in boss.post("/distributions/new/", entered(peers)).content.decode()


def test_the_connection_is_tested_without_keeping_anything(boss: Client, peers: Server) -> None:
    good = boss.post("/distributions/new/", entered(peers, test="yes")).content.decode()
    assert '<div class="answer success">The instance answers.</div>' in good
    bad = boss.post("/distributions/new/", entered(peers, secret="x", test="yes")).content.decode()
    assert '<div class="answer error">' in bad
    assert "answers with 401" in bad
    inner = boss.post("/distributions/new/", entered(peers, endpoint="http://169.254.169.254", test="yes"))
    assert '<div class="answer error">' in inner.content.decode()
    assert SECRET not in good
    assert not PreheatInstance.objects.exists()


def test_stored_credentials_go_to_their_own_address_alone(boss: Client, peers: Server) -> None:
    instance = stored(peers)
    address, keep = f"/distributions/{instance.pk}/", entered(peers, username="", secret="", test="yes")
    assert "The instance answers." in boss.post(address, keep).content.decode()
    peers.seen.clear()
    other = {**keep, "endpoint": f"http://localhost:{peers.port}"}
    for changed in (other, {k: v for k, v in keep.items() if k != "verify"}):
        assert "answers with 401" in boss.post(address, changed).content.decode()
    assert len(peers.seen) == 2
    assert CREDENTIALS not in [headers.get("Authorization") for _, _, headers in peers.seen]
    instance.refresh_from_db()
    assert json.loads(unseal(instance.auth_info)) == PAIR
    shown = boss.post(address, {name: value for name, value in other.items() if name != "test"}, follow=True)
    assert "has been forgotten" in shown.content.decode()
    instance.refresh_from_db()
    assert instance.auth_info == ""


def test_an_instance_is_changed_and_keeps_its_provider_and_credentials(boss: Client, peers: Server) -> None:
    instance = stored(peers)
    given = entered(peers, username="", secret="", name="neighbours", vendor="kraken")
    del given["enabled"]
    shown = boss.post(f"/distributions/{instance.pk}/", given, follow=True).content.decode()
    assert "The instance has been saved." in shown
    assert "Disabled" in shown
    instance.refresh_from_db()
    assert (instance.name, instance.vendor, instance.enabled) == ("neighbours", "dragonfly", False)
    assert json.loads(unseal(instance.auth_info)) == PAIR


def test_what_only_the_api_sets_stays_in_the_form(boss: Client, peers: Server) -> None:
    instance = stored(peers, auth_mode="CUSTOM", vendor="other")
    address, given = f"/distributions/{instance.pk}/", entered(peers, auth_mode="CUSTOM", username="", secret="")
    assert '<option value="CUSTOM" selected>' in boss.get(address).content.decode()
    assert boss.post(address, given).status_code == 302
    instance.refresh_from_db()
    assert (instance.auth_mode, instance.vendor) == ("CUSTOM", "other")
    assert instance.auth_info


def test_one_is_the_default_and_each_is_switched(boss: Client, peers: Server) -> None:
    first = stored(peers, is_default=True)
    second = stored(peers, name="second", endpoint=f"{peers.url}/2", enabled=False)
    assert "Choose one" in act(boss, "make_default", first, second)
    act(boss, "make_default", second)
    assert "2 changed." in act(boss, "enable", first, second)
    assert "1 changed." in act(boss, "disable", first)
    for instance, state in ((first, (False, False)), (second, (True, True))):
        instance.refresh_from_db()
        assert (instance.is_default, instance.enabled) == state


def test_chosen_ones_are_asked_whether_they_answer(boss: Client, peers: Server) -> None:
    here, closed = stored(peers), stored(peers, name="closed", endpoint=f"{peers.url}/", auth_mode="NONE")
    shown = act(boss, "test_chosen", here, closed)
    assert '<li class="success">peers: The instance answers.</li>' in shown
    assert '<li class="error">closed: ' in shown


def test_deleting_asks_first(boss: Client, peers: Server) -> None:
    instance = stored(peers)
    assert "Delete instances?" in act(boss, "delete_chosen", instance)
    assert PreheatInstance.objects.exists()
    assert "1 deleted." in act(boss, "delete_chosen", instance, confirmed="yes")
    assert not PreheatInstance.objects.exists()


def test_nobody_else_reaches_instances(alice: User, peers: Server, signed_in: SignedIn) -> None:
    instance = stored(peers)
    for address in ("/distributions/", "/distributions/new/", f"/distributions/{instance.pk}/"):
        for method in ("get", "post"):
            assert getattr(signed_in(alice), method)(address, entered(peers, test="yes")).status_code == 403
            assert getattr(signed_in(None), method)(address).status_code == 302
    assert peers.seen == []
