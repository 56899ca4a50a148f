"""Signing in and out, the default password, language and what every page carries."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.test import Client

from projects import params
from projects.identity.signin import DEFAULT_PASSWORD
from projects.models import Project, User
from projects.models.user import ADMIN_ID
from projects.services.settings import change_settings
from tests.factories import PASSWORD, make_robot, make_user
from tests.portal.conftest import SignedIn
from tests.portal.sample import make_repository

NEW_PASSWORD = "Better12345"


@pytest.fixture
def fresh_admin(db: None) -> User:
    """The administrator as `prepare` leaves it."""
    return make_user("admin", password=DEFAULT_PASSWORD, pk=ADMIN_ID, sysadmin_flag=True)


def sign_in(client: Client, username: str, password: str = PASSWORD, address: str = "/login/", **headers: str) -> str:
    """Post the form; where the answer leads to, empty where the form came back."""
    answer = client.post(address, {"username": username, "password": password}, **headers)  # type: ignore[arg-type]
    return answer.headers.get("Location", "")


def test_every_active_user_may_sign_in_and_out(alice: User) -> None:
    client = Client()
    assert sign_in(client, "alice") == "/"
    assert client.get("/logs/").status_code == 200
    assert client.get("/logout/").status_code == 405
    assert client.post("/logout/").headers["Location"] == "/login/"
    assert client.get("/logs/").headers["Location"] == "/login/?next=/logs/"


def test_wrong_names_passwords_robots_and_disabled_users_stay_outside(alice: User) -> None:
    make_robot("ci")
    off = make_user("off", is_active=False)
    for username in ("alice2", "robot$ci", off.username):
        client = Client()
        assert sign_in(client, username) == ""
        assert client.get("/logs/").status_code == 302
    page = Client().post("/login/", {"username": "alice", "password": "wrong"})
    assert "The user name or the password is wrong." in page.content.decode()


def test_a_session_ends_with_the_account(alice: User, signed_in: SignedIn) -> None:
    client = signed_in(alice)
    assert client.get("/logs/").status_code == 200
    alice.is_active = False
    alice.save()
    assert client.get("/logs/").status_code == 302


def test_sign_in_goes_on_to_the_page_that_was_asked_for_but_never_to_another_site(alice: User) -> None:
    assert sign_in(Client(), "alice", address="/login/?next=/logs/") == "/logs/"
    for target in ("https://evil.example/", "//evil.example/", "javascript:alert(1)"):
        assert sign_in(Client(), "alice", address=f"/login/?next={target}") == "/"


def test_the_session_key_changes_at_sign_in(alice: User) -> None:
    client = Client()
    session = client.session
    session["seen"] = True
    session.save()
    before = session.session_key
    sign_in(client, "alice")
    assert client.session.session_key != before


def test_the_default_password_has_to_be_changed_before_anything_else(fresh_admin: User) -> None:
    client = Client()
    assert sign_in(client, "admin", DEFAULT_PASSWORD) == "/account/password/"
    for address in ("/", "/projects/", "/users/", "/account/", "/search/?q=a"):
        assert client.get(address).headers["Location"] == "/account/password/", address
    assert client.post("/users/new/", {"username": "x"}).status_code == 302
    page = client.get("/account/password/").content.decode()
    assert "default password" in page
    wrong = {"old_password": DEFAULT_PASSWORD, "new_password": DEFAULT_PASSWORD, "confirmation": DEFAULT_PASSWORD}
    assert client.post("/account/password/", wrong).status_code == 200
    right = {"old_password": DEFAULT_PASSWORD, "new_password": NEW_PASSWORD, "confirmation": NEW_PASSWORD}
    assert client.post("/account/password/", right).status_code == 302
    assert client.get("/users/").status_code == 200  # the same session goes on
    assert sign_in(Client(), "admin", DEFAULT_PASSWORD) == ""
    assert sign_in(Client(), "admin", NEW_PASSWORD) == "/"


def test_the_default_password_is_refused_from_another_machine_with_a_remedy(fresh_admin: User) -> None:
    answer = Client(REMOTE_ADDR="192.0.2.7").post("/login/", {"username": "admin", "password": DEFAULT_PASSWORD})
    assert answer.status_code == 200
    assert "manage.py users set-password admin" in answer.content.decode()


def test_the_language_is_kept_with_the_account_and_as_a_cookie(alice: User, signed_in: SignedIn) -> None:
    visitor = Client()
    assert "Sign in" in visitor.get("/projects/").content.decode()
    visitor.post("/language/", {"language": "zh-hans", "next": "/projects/"})
    page = visitor.get("/projects/").content.decode()
    assert 'lang="zh-hans"' in page
    assert "登录" in page

    client = signed_in(alice)
    client.post("/language/", {"language": "zh-hans"})
    alice.refresh_from_db()
    assert alice.language == "zh-hans"
    elsewhere = Client()
    sign_in(elsewhere, "alice")
    assert elsewhere.cookies[settings.LANGUAGE_COOKIE_NAME].value == "zh-hans"
    assert "项目" in elsewhere.get("/projects/").content.decode()


def test_the_theme_is_kept_with_the_account_and_as_a_cookie(alice: User, signed_in: SignedIn) -> None:
    visitor = Client()
    assert "data-theme" not in visitor.get("/projects/").content.decode()
    assert visitor.post("/theme/", {"theme": "dark", "next": "/projects/"}).headers["Location"] == "/projects/"
    assert 'data-theme="dark"' in visitor.get("/projects/").content.decode()

    signed_in(alice).post("/theme/", {"theme": "light"})
    elsewhere = Client()
    sign_in(elsewhere, "alice")
    assert 'data-theme="light"' in elsewhere.get("/projects/").content.decode()


def test_a_theme_that_does_not_exist_changes_nothing(alice: User, signed_in: SignedIn) -> None:
    client = signed_in(alice)
    client.post("/theme/", {"theme": '"><script>'})
    client.cookies["harborsite_theme"] = "purple"
    assert "data-theme" not in client.get("/projects/").content.decode()
    assert "data-theme" not in Client(headers={"cookie": "harborsite_theme=purple"}).get("/projects/").content.decode()


def test_preferences_are_one_form(commons: Project, alice: User, signed_in: SignedIn) -> None:
    client = signed_in(alice)
    make_repository(commons, "tool")
    chosen = {"language": "zh-hans", "theme": "dark", "time_format": "iso", "pull_client": "ctr"}
    saved = client.post("/account/preferences/", chosen, follow=True).content.decode()
    assert "偏好设置已保存" in saved
    assert 'data-theme="dark" data-times="iso"' in saved
    page = client.get("/projects/commons/repositories/tool/").content.decode()
    assert page.index("ctr image pull testserver/commons/tool:TAG") < page.index("docker pull testserver")
    refused = client.post("/account/preferences/", {**chosen, "pull_client": "rm -rf"})
    assert "field-error" in refused.content.decode()


def test_the_pull_command_may_be_of_any_client(commons: Project, alice: User, signed_in: SignedIn) -> None:
    client = signed_in(alice)
    make_repository(commons, "tool")
    chosen = {"language": "en", "theme": "", "time_format": "", "pull_client": ""}
    for wrong in ("", "x", "rm -rf", "Img", "y" * 33):
        refused = client.post("/account/preferences/", {**chosen, "other_client": wrong})
        assert "field-error" in refused.content.decode(), wrong
    assert User.objects.get(pk=alice.pk).pull_client == "docker"
    client.post("/account/preferences/", {**chosen, "other_client": "buildah"})
    page = client.get("/projects/commons/repositories/tool/").content.decode()
    assert page.index("buildah pull testserver/commons/tool:TAG") < page.index("docker pull testserver")
    form = client.get("/account/preferences/").content.decode()
    assert 'value="buildah"' in form
    client.post("/account/preferences/", {**chosen, "pull_client": "podman", "other_client": "buildah"})
    assert User.objects.get(pk=alice.pk).pull_client == "podman"


def test_an_unknown_language_or_target_changes_nothing(alice: User, signed_in: SignedIn) -> None:
    client = signed_in(alice)
    answer = client.post("/language/", {"language": "xx", "next": "https://evil.example/"})
    assert answer.headers["Location"] == "/"
    alice.refresh_from_db()
    assert alice.language == ""


def test_every_page_has_a_strict_content_security_policy_and_nothing_inline(admin: User, signed_in: SignedIn) -> None:
    client = signed_in(admin)
    for address in ("/projects/", "/users/", "/account/", "/nowhere/", "/new-project/"):
        answer = client.get(address)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        page = answer.content.decode()
        assert " style=" not in page, address
        assert "<style" not in page, address
        assert " onclick=" not in page, address
        assert "<script>" not in page, address


def test_pages_are_never_kept_by_a_cache(alice: User, signed_in: SignedIn) -> None:
    for address in ("/projects/", "/login/"):
        assert "no-store" in signed_in(None).get(address).headers["Cache-Control"]


def test_an_idle_session_ends_and_a_page_that_polls_does_not_keep_it(
    alice: User, signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = signed_in(alice)
    clock = [1_000_000]
    monkeypatch.setattr("harborsite.portal.account.time.time", lambda: clock[0])
    assert client.get("/logs/").status_code == 200
    clock[0] += 50 * 60
    assert client.get("/logs/").status_code == 200  # somebody is there: the hour starts anew
    clock[0] += 50 * 60
    assert client.get("/logs/", headers={"X-Background": "1"}).status_code == 200
    clock[0] += 20 * 60
    assert client.get("/logs/", headers={"X-Background": "1"}).status_code == 302


def test_visitors_sign_up_where_that_is_allowed_and_never_as_administrators(admin: User, signed_in: SignedIn) -> None:
    visitor = Client()
    entered = {
        "username": "dora",
        "email": "dora@example.com",
        "realname": "Dora",
        "comment": "from the night shift",
        "new_password": PASSWORD,
        "confirmation": PASSWORD,
        "sysadmin_flag": "on",
    }
    assert "/sign-up/" not in visitor.get("/login/").content.decode()
    assert visitor.post("/sign-up/", entered).status_code == 404

    change_settings(values={"self_registration": True}, actor=admin)
    params.forget()
    assert "/sign-up/" in visitor.get("/login/").content.decode()
    weak = visitor.post("/sign-up/", {**entered, "new_password": "weak", "confirmation": "weak"})
    taken = visitor.post("/sign-up/", {**entered, "username": "admin"})
    for refused in (weak, taken):
        assert refused.status_code == 200
        assert "error" in refused.content.decode()
    answer = visitor.post("/sign-up/", entered, follow=True)
    assert "Your account has been created. Sign in with it." in answer.content.decode()
    dora = User.objects.get(username="dora")
    assert (dora.sysadmin_flag, dora.comment) == (False, "from the night shift")
    sign_in(visitor, "dora")
    assert visitor.get("/sign-up/").status_code == 302
