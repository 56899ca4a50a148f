"""Codes beside the password: switching them on and off, signing in with them, and what cannot go round them."""

from __future__ import annotations

import re
import time

import pyotp
import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from audit.models import AuditLog
from projects.identity import lockout, second_factor
from projects.models import SecondFactor, User
from tests.factories import PASSWORD, client_for, make_robot
from tests.portal.conftest import SignedIn
from tests.portal.test_session import sign_in

PAGE = "/account/second-factor/"


@pytest.fixture
def secret(alice: User, monkeypatch: pytest.MonkeyPatch) -> str:
    """The secret of alice's second factor, which she switched on two minutes ago."""
    made = second_factor.new_secret()
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now - 120)
    second_factor.switch_on(user=alice, secret=made, code=code_of(made, now - 120))
    monkeypatch.setattr("time.time", lambda: now)
    return made


def code_of(secret: str, at: float | None = None) -> str:
    return pyotp.TOTP(secret).at(int(time.time() if at is None else at))


def signs_in_with(code: str, client: Client | None = None) -> bool:
    client = client or Client()
    assert sign_in(client, "alice") == "/login/code/"
    client.post("/login/code/", {"code": code})
    return client.get("/logs/").status_code == 200


def test_it_is_switched_on_with_a_code_and_then_asked_for(alice: User, signed_in: SignedIn) -> None:
    client = signed_in(alice)
    page = client.get(PAGE).content.decode()
    secret = re.search(r'<code tabindex="0">([A-Z2-7]{32})</code>', page)
    assert secret
    assert "<svg" in page
    wrong = client.post(PAGE, {"code": "000000"}).content.decode()
    assert secret[1] in wrong, "the app need not be set up again"
    assert not second_factor.is_on(alice)
    page = client.post(PAGE, {"code": code_of(secret[1])}).content.decode()
    codes = re.findall(r"<li>([2-9a-z]{10})</li>", page)
    assert len(set(codes)) == 10
    kept = str(SecondFactor.objects.values().get())
    assert secret[1] not in kept
    assert not any(code in kept for code in codes)
    assert AuditLog.objects.filter(username="alice", data__change="second factor on").exists()
    assert signs_in_with(codes[0])


def test_a_password_alone_opens_nothing(alice: User, secret: str) -> None:
    client = Client()
    assert sign_in(client, "alice", address="/login/?next=/logs/") == "/login/code/"
    assert client.get("/logs/").status_code == 302
    assert client.post("/login/code/", {"code": "000000"}).status_code == 200
    assert client.get("/logs/").status_code == 302
    script = Client(enforce_csrf_checks=False)
    assert script.post("/c/login", {"principal": "alice", "password": PASSWORD}).status_code == 401
    assert script.get("/logs/").status_code == 302


def test_the_code_leads_to_the_page_that_was_asked_for(alice: User, secret: str) -> None:
    client = Client()
    sign_in(client, "alice", address="/login/?next=/logs/")
    before = client.session.session_key
    answer = client.post("/login/code/", {"code": code_of(secret)})
    assert answer.headers["Location"] == "/logs/"
    assert client.session.session_key != before
    assert client.get("/logs/").status_code == 200


def test_a_code_is_good_once_and_only_near_its_time(alice: User, secret: str) -> None:
    assert signs_in_with(code_of(secret))
    assert not signs_in_with(code_of(secret))
    assert signs_in_with(code_of(secret, time.time() + second_factor.STEP))
    for off in (-3, 3):
        assert not signs_in_with(code_of(secret, time.time() + off * second_factor.STEP))


def test_a_recovery_code_is_good_once(alice: User, signed_in: SignedIn) -> None:
    secret = second_factor.new_secret()
    first, second, *_rest = second_factor.switch_on(user=alice, secret=secret, code=code_of(secret))
    assert signs_in_with(f" {first[:5].upper()} {first[5:]} ")
    assert not signs_in_with(first)
    assert signs_in_with(second)
    assert AuditLog.objects.filter(data__change="recovery code used").count() == 2


def test_guessing_codes_is_stopped_wherever_it_comes_from(
    alice: User, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(lockout.FAILURES):
        assert not signs_in_with("000000", Client(REMOTE_ADDR=f"192.0.2.{number}"))  # with the right password each time
    client = Client(REMOTE_ADDR="192.0.2.99")
    sign_in(client, "alice")
    page = client.post("/login/code/", {"code": code_of(secret)}).content.decode()
    assert "Too many failed sign-ins. Try again in 5 minutes." in page
    assert client.get("/logs/").status_code == 302
    later = timezone.now() + lockout.LOCKED_FOR
    monkeypatch.setattr("django.utils.timezone.now", lambda: later)
    assert signs_in_with(code_of(secret))


def test_the_shell_opens_the_lock_of_the_codes(alice: User, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harborsite.management.commands.users.check_prepared", lambda config: None)
    for _ in range(lockout.FAILURES):
        assert not signs_in_with("000000")
    call_command("users", "unlock", "alice")
    assert signs_in_with(code_of(secret))


def test_a_right_code_clears_the_wrong_ones_before_it(alice: User, secret: str) -> None:
    for _ in range(lockout.FAILURES - 1):
        assert not signs_in_with("000000")
    assert signs_in_with(code_of(secret))
    assert not signs_in_with("000000")
    assert SecondFactor.objects.get().failures == 1


def test_the_built_in_administrator_is_not_kept_out_on_the_machine_itself(admin: User) -> None:
    secret = second_factor.new_secret()
    second_factor.switch_on(user=admin, secret=secret, code=code_of(secret, time.time() - second_factor.STEP))
    for _ in range(lockout.FAILURES):
        assert not second_factor.accepts(user=admin, code="000000", address="127.0.0.1")
    with pytest.raises(lockout.TooManyFailures):
        second_factor.accepts(user=admin, code=code_of(secret), address="192.0.2.7")
    assert second_factor.accepts(user=admin, code=code_of(secret), address="127.0.0.1")


def test_switching_it_off_takes_no_guessing_either(alice: User, secret: str, signed_in: SignedIn) -> None:
    client = signed_in(alice)
    for _ in range(lockout.FAILURES):
        client.post(PAGE, {"code": "000000"})
    assert "Too many failed sign-ins" in client.post(PAGE, {"code": code_of(secret)}).content.decode()
    assert second_factor.is_on(alice)


def test_the_code_must_come_soon_and_after_the_password(
    alice: User, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Client().get("/login/code/").headers["Location"] == "/login/"
    client = Client()
    sign_in(client, "alice")
    later = time.time() + 6 * 60
    monkeypatch.setattr("time.time", lambda: later)
    assert client.post("/login/code/", {"code": code_of(secret)}).headers["Location"] == "/login/"
    assert client.get("/logs/").status_code == 302


def test_a_disabled_account_does_not_come_in_by_its_code(alice: User, secret: str) -> None:
    client = Client()
    sign_in(client, "alice")
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert client.post("/login/code/", {"code": code_of(secret)}).headers["Location"] == "/login/"


def test_clients_and_robot_accounts_go_on_without_a_code(alice: User, secret: str) -> None:
    assert client_for(alice).get("/api/v2.0/users/current").json()["username"] == "alice"
    assert client_for(make_robot("ci")).get("/service/token?service=harbor-registry").status_code == 200


def test_it_is_switched_off_with_a_code(alice: User, secret: str, signed_in: SignedIn) -> None:
    client = signed_in(alice)
    client.post(PAGE, {"code": "000000"})
    assert second_factor.is_on(alice)
    assert "The second factor is off." in client.post(PAGE, {"code": code_of(secret)}, follow=True).content.decode()
    assert sign_in(Client(), "alice") == "/"


def test_an_administrator_switches_it_off_for_who_lost_the_phone(
    alice: User, admin: User, secret: str, signed_in: SignedIn
) -> None:
    signed_in(admin).post("/users/", {"action": "drop_second_factor", "_selected_action": [alice.pk], "index": "0"})
    assert not second_factor.is_on(alice)
    assert AuditLog.objects.filter(username="admin", data__change="second factor off").exists()


def test_the_shell_switches_it_off(alice: User, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harborsite.management.commands.users.check_prepared", lambda config: None)
    call_command("users", "drop-second-factor", "alice")
    assert not second_factor.is_on(alice)
