"""Administration › Registries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from audit.models import AuditLog
from harborsite.sealing import seal, unseal
from projects.models import User
from replication.models import Registry, ReplicationPolicy
from tests.portal.conftest import SignedIn
from tests.portal.guarded import CREDENTIALS, SECRET, guarded
from tests.test_outbound import Server, page


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A registry on loopback that wants these credentials, and remembers what it was asked."""
    with guarded(monkeypatch, "/v2/", WWW_Authenticate='Basic realm="x"') as server:
        yield server


def entered(server: Server, **changes: str) -> dict[str, str]:
    fields = {"type": "docker-registry", "name": "elsewhere", "url": server.url, "verify": "on"}
    return {**fields, "access_key": "robot", "access_secret": SECRET, **changes}


def stored(server: Server, **changes: Any) -> Registry:
    fields = {"name": "elsewhere", "type": "docker-registry", "url": server.url, "credential_type": "basic"}
    fields |= {"access_key": "robot", "access_secret": seal(SECRET), "status": "healthy"}
    return Registry.objects.create(**{**fields, **changes})


def test_a_registry_is_added_listed_and_its_secret_never_shown(boss: Client, elsewhere: Server) -> None:
    assert "No registry yet." in boss.get("/registries/").content.decode()
    answer = boss.post("/registries/new/", entered(elsewhere), follow=True)
    registry = Registry.objects.get()
    assert unseal(registry.access_secret) == SECRET
    assert registry.credential_type == "basic"
    assert AuditLog.objects.get(resource_type="registry").resource == "elsewhere"
    shown = answer.content.decode()
    for text in ("elsewhere", elsewhere.url, "Healthy", "Docker Registry", "robot"):
        assert text in shown, text
    for address in ("/registries/", f"/registries/{registry.pk}/"):
        assert SECRET not in boss.get(address).content.decode()


def test_a_refusal_is_shown_in_the_form_and_nothing_is_kept(boss: Client, elsewhere: Server) -> None:
    wrong = boss.post("/registries/new/", entered(elsewhere, access_secret="wrong-52"))
    shown = wrong.content.decode()
    assert wrong.status_code == 200
    assert "the registry is unhealthy" in shown
    assert elsewhere.url in shown
    assert "wrong-52" not in shown
    for url in ("ftp://example.com", "http://169.254.169.254/", "nonsense"):
        assert 'class="error"' in boss.post("/registries/new/", entered(elsewhere, url=url)).content.decode(), url
    pem = boss.post("/registries/new/", entered(elsewhere, ca_certificate="no PEM")).content.decode()
    assert "the CA certificate is not a PEM certificate" in pem
    assert not Registry.objects.exists()
    stored(elsewhere)
    assert "already exists" in boss.post("/registries/new/", entered(elsewhere)).content.decode()


def test_the_connection_is_tested_without_keeping_anything(boss: Client, elsewhere: Server) -> None:
    good = boss.post("/registries/new/", entered(elsewhere, name="", test="yes")).content.decode()
    assert '<div class="answer success">The registry answers.</div>' in good
    bad = boss.post("/registries/new/", entered(elsewhere, access_secret="x", test="yes")).content.decode()
    assert '<div class="answer error">the registry is unhealthy' in bad
    empty = boss.post("/registries/new/", {"test": "yes"}).content.decode()
    assert '<div class="answer error">' in empty
    assert SECRET not in good
    assert not Registry.objects.exists()


def test_a_stored_one_is_tested_with_its_secret_at_its_own_address_alone(boss: Client, elsewhere: Server) -> None:
    registry = stored(elsewhere)
    address, keep = f"/registries/{registry.pk}/", entered(elsewhere, access_secret="", test="yes")
    assert "The registry answers." in boss.post(address, keep).content.decode()
    elsewhere.seen.clear()
    other = {**keep, "url": f"http://localhost:{elsewhere.port}"}
    assert "unhealthy" in boss.post(address, other).content.decode()
    assert "unhealthy" in boss.post(address, {k: v for k, v in keep.items() if k != "verify"}).content.decode()
    assert elsewhere.seen
    assert CREDENTIALS not in [headers.get("Authorization") for _, _, headers in elsewhere.seen]
    registry.refresh_from_db()
    assert registry.url == elsewhere.url


def test_changing_keeps_the_secret_unless_the_address_changes(boss: Client, elsewhere: Server) -> None:
    registry = stored(elsewhere)
    address, keep = f"/registries/{registry.pk}/", entered(elsewhere, access_secret="", description="At the office")
    assert "The registry has been saved." in boss.post(address, keep, follow=True).content.decode()
    registry.refresh_from_db()
    assert (registry.description, unseal(registry.access_secret)) == ("At the office", SECRET)

    elsewhere.pages["/v2/"] = page(b"{}")
    moved = {**keep, "url": f"http://localhost:{elsewhere.port}"}
    shown = boss.post(address, moved, follow=True).content.decode()
    assert "has been forgotten" in shown
    registry.refresh_from_db()
    assert (registry.url, registry.access_secret) == (moved["url"], "")


def test_without_an_access_id_the_credentials_go(boss: Client, elsewhere: Server) -> None:
    registry = stored(elsewhere)
    elsewhere.pages["/v2/"] = page(b"{}")
    boss.post(f"/registries/{registry.pk}/", entered(elsewhere, access_key="", access_secret=""))
    registry.refresh_from_db()
    assert (registry.access_key, registry.access_secret, registry.credential_type) == ("", "", "")


@pytest.mark.parametrize(
    ("provider", "texts"),
    [
        ("docker-hub", ['value="https://hub.docker.com"']),
        ("google-gcr", ['value="https://gcr.io"', '<option value="https://asia.gcr.io">', "_json_key", "key file"]),
        ("harbor", ["https://registry.example.com"]),
        ("nonsense", ["https://registry.example.com"]),
    ],
)
def test_choosing_a_provider_suggests_its_address(provider: str, texts: list[str], boss: Client) -> None:
    shown = boss.get("/registries/new/", {"type": provider}).content.decode()
    for text in texts:
        assert text in shown, text


def test_one_in_use_is_not_deleted_and_says_why(boss: Client, elsewhere: Server) -> None:
    used, free = stored(elsewhere), stored(elsewhere, name="spare")
    ReplicationPolicy.objects.create(name="rule", dest_registry=used)
    assert "1 replication rule uses it." in boss.get(f"/registries/{used.pk}/").content.decode()
    chosen = {"action": "delete_chosen", "_selected_action": [used.pk, free.pk], "index": "0"}
    assert "Delete registries?" in boss.post("/registries/", chosen).content.decode()
    assert Registry.objects.count() == 2
    shown = boss.post("/registries/", {**chosen, "confirmed": "yes"}, follow=True).content.decode()
    assert "is referenced by replication policies, cannot delete it" in shown
    assert list(Registry.objects.all()) == [used]


def test_what_people_typed_stays_text(boss: Client, elsewhere: Server) -> None:
    script = "<script>alert(1)</script>"
    registry = stored(elsewhere, name=script, description=script, access_key=script)
    for address in ("/registries/", f"/registries/{registry.pk}/"):
        shown = boss.get(address).content.decode()
        assert script not in shown
        assert "&lt;script&gt;" in shown


def test_nobody_else_reaches_registries(alice: User, elsewhere: Server, signed_in: SignedIn) -> None:
    registry = stored(elsewhere)
    for address in ("/registries/", "/registries/new/", f"/registries/{registry.pk}/"):
        for method in ("get", "post"):
            assert getattr(signed_in(alice), method)(address, entered(elsewhere, test="yes")).status_code == 403
            assert getattr(signed_in(None), method)(address).status_code == 302
    assert elsewhere.seen == []
