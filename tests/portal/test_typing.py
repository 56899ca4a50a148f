"""Names that are judged while they are typed: by the form that will be sent, for who may send it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from projects.models import Label, Project, Robot, User, UserGroup, WebhookPolicy
from projects.services.labels import create_label
from projects.services.settings import change_settings
from registry.models import Scanner
from replication.models import PreheatInstance, Registry, ReplicationPolicy
from tests.factories import make_user
from tests.portal.conftest import SignedIn

People = dict[str, User | None]
# address, field, what is taken, what is malformed, what is free
FIELDS = [
    ("/new-project/", "name", "library", "Library", "fresh"),
    ("/users/new/", "username", "alice", "a,b", "fresh"),
    ("/users/new/", "email", "alice@example.com", "nobody", "fresh@example.com"),
    ("/account/", "email", "alice@example.com", "nobody", "admin@example.com"),
    ("/labels/new/", "name", "urgent", "n" * 129, "fresh"),
    ("/robots/new/", "name", "ci", "C I", "fresh"),
    ("/projects/library/robots/new/", "name", "inside", "C I", "ci"),
    ("/projects/library/labels/new/", "name", "local", "n" * 129, "urgent"),
    ("/projects/library/webhooks/new/", "name", "hook", "n" * 129, "fresh"),
    ("/registries/new/", "name", "mirror", "n" * 300, "fresh"),
    ("/replications/new/", "name", "nightly", "n" * 300, "fresh"),
    ("/scanners/new/", "name", "trivy", "n" * 129, "fresh"),
    ("/distributions/new/", "name", "swarm", "n" * 64, "fresh"),
    ("/groups/new/", "name", "crew", "n" * 256, "fresh"),
]
WITHIN = [address for address, *_ in FIELDS if address.startswith("/projects/")]
ABOVE = [
    *("/users/new/", "/labels/new/", "/robots/new/", "/registries/new/", "/replications/new/", "/scanners/new/"),
    *("/distributions/new/", "/groups/new/"),
]


@pytest.fixture
def taken(library: Project, admin: User, alice: User) -> None:
    """One of everything that has a name."""
    User.objects.filter(pk=alice.pk).update(email="alice@example.com")
    User.objects.filter(pk=admin.pk).update(email="admin@example.com")
    create_label(name="urgent", description="", color="#fff", actor=admin)
    create_label(name="local", description="", color="#fff", actor=admin, project=library)
    Robot.objects.create(name="ci", level=Robot.Level.SYSTEM)
    Robot.objects.create(name="library+inside", level=Robot.Level.PROJECT, project=library)
    target = {"type": "http", "address": "http://ci.example.com/", "payload_format": "Default"}
    WebhookPolicy.objects.create(project=library, name="hook", event_types=["PUSH_ARTIFACT"], targets=[target])
    mirror = Registry.objects.create(name="mirror", type="harbor", url="https://r")
    ReplicationPolicy.objects.create(name="nightly", dest_registry=mirror)
    Scanner.objects.create(name="trivy", url="http://trivy.example.com")
    PreheatInstance.objects.create(name="swarm", vendor="dragonfly", endpoint="http://swarm.example.com")
    UserGroup.objects.create(group_name="crew", group_type=UserGroup.Type.LDAP, ldap_group_dn="cn=crew,dc=example")


def judged(client: Client, address: str, field: str, value: str) -> Any:
    return client.post(address, {field: value}, headers={"HX-Request": "true", "HX-Trigger-Name": field})


@pytest.mark.usefixtures("taken")
@pytest.mark.parametrize(("address", "field", "used", "malformed", "free"), FIELDS)
def test_a_name_is_judged_while_it_is_typed_and_again_when_it_is_sent(
    address: str, field: str, used: str, malformed: str, free: str, admin: User, signed_in: SignedIn
) -> None:
    client = signed_in(admin)
    assert f'hx-params="{field},csrfmiddlewaretoken"' in client.get(address).content.decode()
    for wrong in (used, malformed):
        answer = judged(client, address, field, wrong).content.decode().strip()
        assert answer.startswith('<p class="field-error">')
        assert answer.count("<p") == 1
        page = client.post(address, {field: wrong}).content.decode()
        beside = page.partition(f'id="id_{field}_error"')[2].partition("</div>")[0]
        assert answer in beside
    assert judged(client, address, field, free).content.decode().strip() == ""


@pytest.mark.usefixtures("taken")
def test_what_is_being_changed_may_keep_its_name(admin: User, library: Project, signed_in: SignedIn) -> None:
    client = signed_in(admin)
    own = {
        f"/labels/{Label.objects.get(name='urgent').pk}/": "urgent",
        f"/projects/library/labels/{Label.objects.get(name='local').pk}/": "local",
        f"/projects/library/webhooks/{WebhookPolicy.objects.get().pk}/edit/": "hook",
        f"/registries/{Registry.objects.get().pk}/": "mirror",
        f"/replications/{ReplicationPolicy.objects.get().pk}/edit/": "nightly",
        f"/groups/{UserGroup.objects.get().pk}/": "crew",
    }
    for address, name in own.items():
        answer = judged(client, address, "name", name)
        assert (answer.status_code, answer.content.decode().strip()) == (200, ""), address


@pytest.mark.usefixtures("taken")
def test_only_fields_that_are_judged_are_answered_by_themselves(admin: User, signed_in: SignedIn) -> None:
    client = signed_in(admin)
    for field in ("new_password", "comment", "ghost", ""):
        page = client.post("/users/new/", {field: "x"}, headers={"HX-Trigger-Name": field})
        assert "<!DOCTYPE html>" in page.content.decode(), field
    assert client.get("/users/new/", headers={"HX-Trigger-Name": "username"}).content.startswith(b"<!DOCTYPE")
    assert User.objects.count() == 2


@pytest.mark.usefixtures("taken")
@pytest.mark.parametrize(
    ("who", "within", "above"),
    [("maintainer", 403, 403), ("guest", 403, 403), ("stranger", 404, 403), ("nobody", 404, 302)],
)
def test_nobody_is_told_about_names_in_forms_that_are_closed_to_them(
    who: str, within: int, above: int, people: People, signed_in: SignedIn
) -> None:
    client = signed_in(people[who])
    for addresses, status in ((WITHIN, within), (ABOVE, above)):
        for address in addresses:
            if who == "maintainer" and address.endswith("/labels/new/") and addresses is WITHIN:
                continue  # maintainers make labels
            answer = judged(client, address, "name", "library")
            assert answer.status_code == status, address
            assert "field-error" not in answer.content.decode(), address


@pytest.mark.django_db(transaction=True)
def test_who_signs_up_is_told_what_is_taken_where_signing_up_is_open(admin: User) -> None:
    make_user("zoe", email="zoe@example.com")
    client = Client()
    assert judged(client, "/sign-up/", "username", "zoe").status_code == 404
    change_settings(values={"self_registration": True}, actor=admin)
    assert "The user name zoe is taken." in judged(client, "/sign-up/", "username", "zoe").content.decode()
    taken = judged(client, "/sign-up/", "email", "zoe@example.com").content.decode()
    assert "The e-mail address zoe@example.com is taken." in taken
    assert judged(client, "/sign-up/", "username", "zoa").content.strip() == b""
    assert User.objects.count() == 2
