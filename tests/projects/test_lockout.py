"""Guessing passwords: what stops it, and whom it must not keep out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from projects.identity import lockout, signin
from projects.models import Project, User
from tests.factories import PASSWORD, basic, error_code, make_robot
from tests.portal.test_session import sign_in as sign_in_by_form

LOOPBACK, ELSEWHERE, ANOTHER = "127.0.0.1", "192.0.2.7", "192.0.2.8"


def enter(username: str, password: str = PASSWORD, address: str = ELSEWHERE) -> Any:
    return signin.sign_in(username=username, password=password, remote_addr=address)


def fail(username: str, times: int = lockout.FAILURES, address: str = ELSEWHERE) -> None:
    for number in range(times):
        assert enter(username, f"Guess{number:05}", address) is None


def test_a_name_is_locked_out_at_one_address_after_ten_failures(bob: User, carol: User) -> None:
    fail("bob")
    for password in (PASSWORD, "Guess99999"):
        with pytest.raises(lockout.TooManyFailures) as refused:
            enter("bob", password)
        assert refused.value.headers == {"Retry-After": "300"}
    assert enter("bob", address=ANOTHER) == bob
    assert enter("carol") == carol


def test_a_name_that_nobody_has_is_locked_out_alike(admin: User) -> None:
    fail("nobody")
    with pytest.raises(lockout.TooManyFailures):
        enter("nobody")


def test_the_lock_opens_after_five_minutes(bob: User) -> None:
    fail("bob")
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=5, seconds=1))
    assert enter("bob") == bob


def test_the_shell_opens_the_lock(bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harborsite.management.commands.users.check_prepared", lambda config: None)
    fail("bob")
    fail("bob", address=ANOTHER)
    call_command("users", "unlock", "bob")
    assert enter("bob") == bob
    signin.forget()
    assert enter("bob", address=ANOTHER) == bob


def test_tries_while_locked_do_not_prolong_the_lock(bob: User) -> None:
    fail("bob")
    began = AccessAttempt.objects.get().attempt_time
    with pytest.raises(lockout.TooManyFailures):
        enter("bob", "Guess99999")
    assert AccessAttempt.objects.get().attempt_time == began


def test_a_success_clears_the_failures_before_it(bob: User) -> None:
    fail("bob", lockout.FAILURES - 1)
    assert enter("bob") == bob
    signin.forget()
    fail("bob", lockout.FAILURES - 1)
    assert enter("bob") == bob
    assert not AccessAttempt.objects.exists()


def test_who_signed_in_a_moment_ago_goes_on_while_others_guess(bob: User) -> None:
    assert enter("bob") == bob
    fail("bob")
    assert enter("bob") == bob


def test_the_built_in_administrator_is_never_kept_out_on_the_machine_itself(admin: User, bob: User) -> None:
    fail("admin", lockout.FAILURES + 5, LOOPBACK)
    assert enter("admin", address=LOOPBACK) == admin
    signin.forget()
    fail("admin")
    with pytest.raises(lockout.TooManyFailures):
        enter("admin")
    fail("bob", address=LOOPBACK)
    with pytest.raises(lockout.TooManyFailures):
        enter("bob", address=LOOPBACK)


def test_one_address_may_only_try_so_fast(bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockout, "TRIES_PER_MINUTE", 5)
    for number in range(5):
        fail(f"user{number}", 1)
    with pytest.raises(lockout.TooManyFailures) as refused:
        enter("bob")
    assert refused.value.headers == {"Retry-After": "60"}
    assert enter("bob", address=ANOTHER) == bob
    monkeypatch.setattr("time.monotonic", lambda: 10**9)
    assert enter("bob") == bob


def test_robot_accounts_are_locked_out_alike(library: Project) -> None:
    robot = make_robot("ci", project=library)
    fail(robot.username)
    with pytest.raises(lockout.TooManyFailures):
        enter(robot.username)


@pytest.mark.parametrize("address", ["/api/v2.0/users/current", "/service/token?service=harbor-registry"])
def test_clients_are_told_429_and_when_to_come_back(address: str, bob: User) -> None:
    guesser = Client(headers={"Authorization": basic("bob", "Guess00000")}, REMOTE_ADDR=ELSEWHERE)
    for _ in range(lockout.FAILURES):
        assert guesser.get(address).status_code == 401
    answer = Client(headers={"Authorization": basic("bob")}, REMOTE_ADDR=ELSEWHERE).get(address)
    assert (answer.status_code, error_code(answer)) == (429, "TOOMANYREQUESTS")
    assert answer.headers["Retry-After"] == "300"


def test_the_form_says_why_and_how_long(bob: User) -> None:
    client = Client(REMOTE_ADDR=ELSEWHERE)
    fail("bob")
    page = client.post("/login/", {"username": "bob", "password": PASSWORD}).content.decode()
    assert "Too many failed sign-ins. Try again in 5 minutes." in page
    assert "_auth_user_id" not in client.session


def test_nothing_of_the_password_is_kept(bob: User) -> None:
    client = Client(REMOTE_ADDR=ELSEWHERE)
    sign_in_by_form(client, "bob", "Guess00000")
    enter("bob", "Guess11111")
    kept = str(list(AccessAttempt.objects.values()))
    assert "bob" in kept
    assert "Guess" not in kept
