"""Signing in by name and password: who gets in, from where, at what cost, and what the process remembers of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, cast

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.hashers import MD5PasswordHasher, make_password
from django.test import Client
from pytest_django import Settings

from projects import params
from projects.identity import DefaultPasswordRefused, client_address, sign_in, signin
from projects.identity.memory import Remembered
from projects.models import Project, Robot, User
from projects.permissions import Role, can
from tests.factories import PASSWORD, basic, error_code, grant, make_robot, make_user

LOOPBACK, ELSEWHERE = "127.0.0.1", "192.0.2.7"


class CountingHasher(MD5PasswordHasher):
    """Counts how often something is hashed, which is what a sign-in costs."""

    runs = 0

    def encode(self, password: str, salt: str) -> str:
        CountingHasher.runs += 1
        return super().encode(password, salt)


@pytest.fixture
def hashing(settings: Settings) -> Callable[[], int]:
    """How often something was hashed since this was asked the last time."""
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]

    def count() -> int:
        runs, CountingHasher.runs = CountingHasher.runs, 0
        return runs

    return count


def enter(username: str, password: str = PASSWORD, remote_addr: str = LOOPBACK) -> User | Robot | None:
    return sign_in(username=username, password=password, remote_addr=remote_addr)


def test_people_sign_in_by_name_or_by_e_mail(bob: User) -> None:
    assert enter("bob") == bob
    assert enter("bob@example.com") == bob
    for name in ("Bob", "bob ", "bo", "bob%", "b_b", "", "robot$bob", "bob\x00"):
        assert enter(name) is None, name
    for password in ("secret12345", "Secret1234", "Secret12345 ", "", "Secret12345\x00", "x" * 100_000, "\ud800"):
        assert enter("bob", password) is None, password[:20]


def test_a_name_that_is_the_e_mail_of_another_opens_only_its_own_account(bob: User) -> None:
    squatter = make_user("bob@example.com", password="Squatter123", email="squatter@example.com")
    assert enter("bob@example.com", "Squatter123") == squatter
    assert enter("bob@example.com", PASSWORD) == bob


def test_disabled_and_deleted_people_stay_out(bob: User, carol: User) -> None:
    User.objects.filter(pk=bob.pk).update(is_active=False)
    User.objects.filter(pk=carol.pk).update(deleted=True)
    assert (enter("bob"), enter("carol")) == (None, None)


def test_people_without_a_usable_password_stay_out(bob: User) -> None:
    bob.set_unusable_password()
    bob.save()
    for password in (PASSWORD, "!", "", bob.password):
        assert enter("bob", password) is None


def test_robot_accounts_sign_in_by_their_prefixed_name(library: Project) -> None:
    ci, wide = make_robot("ci", project=library), make_robot("wide")
    assert enter("robot$library+ci") == ci
    assert enter("robot$wide") == wide
    for name in ("library+ci", "wide", "robot$ci", "robot$", "robot$library+c_"):
        assert enter(name) is None, name
    params.update({"robot_name_prefix": "bot-"})
    params.forget()
    assert enter("robot$wide") is None
    assert enter("bot-wide") == wide


@pytest.mark.parametrize("change", [{"disable": True}, {"expires_at": 1_000_000_000}])
def test_robot_accounts_that_are_disabled_or_expired_stay_out(library: Project, change: dict[str, Any]) -> None:
    make_robot("ci", project=library, **change)
    assert enter("robot$library+ci") is None


def test_a_user_named_like_a_robot_account_is_somebody_else(admin: User) -> None:
    """Names like these are refused, but may be older than the prefix."""
    params.update({"robot_name_prefix": "bot-"})
    params.forget()
    robot, person = make_robot("ci"), make_user("bot-ci", password="Person12345")
    assert enter("bot-ci") == robot
    assert enter("bot-ci", "Person12345") == person


def test_a_reserved_name_gives_a_robot_account_no_right(library: Project) -> None:
    for name in ("scanner-trivy", "harbor-jobservice", "proxy-cache-service", "admin"):
        robot = make_robot(name, grant("library", "repository:pull"), project=library)
        assert enter(robot.username) == robot
        assert robot.granted_in(library) == {"repository:pull"}
        assert not robot.is_superuser
        assert not robot.granted_system()


def test_an_unknown_name_costs_as_much_as_a_wrong_password(bob: User, hashing: Callable[[], int]) -> None:
    User.objects.filter(pk=bob.pk).update(password=make_password(PASSWORD))
    make_robot("ci")
    hashing()
    costs = {}
    for name in ("bob", "bob@example.com", "nobody", "nobody@example.com", "robot$ci", "robot$nobody"):
        assert enter(name, "Wrong12345") is None
        costs[name] = hashing()
    assert set(costs.values()) == {1}, costs


def test_an_unknown_name_is_answered_like_a_wrong_password(bob: User) -> None:
    answers = [
        Client(headers={"Authorization": basic(name, "Wrong12345"), "X-Request-Id": "same"}).get(
            "/service/token?service=harbor-registry"
        )
        for name in ("bob", "nobody")
    ]
    assert answers[0].content == answers[1].content
    assert answers[0].headers == answers[1].headers
    assert answers[0].status_code == answers[1].status_code == 401


def test_a_verified_pair_is_hashed_once_a_minute(
    bob: User, hashing: Callable[[], int], monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    bob.set_password(PASSWORD)
    bob.save()
    hashing()
    assert enter("bob") == bob
    assert hashing() == 1
    for _ in range(3):
        with django_assert_num_queries(1):
            assert enter("bob") == bob
    assert hashing() == 0
    later = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert enter("bob") == bob
    assert hashing() == 1


def test_using_a_pair_does_not_make_it_last_longer(bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    start = time.monotonic()
    enter("bob")
    for later in (20, 40, 59):
        monkeypatch.setattr(time, "monotonic", lambda later=later: start + later)
        enter("bob")
    monkeypatch.setattr(time, "monotonic", lambda: start + 61)
    assert signin._recall(signin._remembered.digest("bob", PASSWORD)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"password": "md5$salt$00"},
        {"sysadmin_flag": True},
        {"is_active": False},
        {"deleted": True},
        {"username": "robert"},
        {"email": "robert@example.com"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_pair_is_forgotten_when_the_account_changes(
    bob: User, hashing: Callable[[], int], change: dict[str, Any]
) -> None:
    bob.set_password(PASSWORD)
    bob.save()
    assert enter("bob") == bob
    hashing()
    User.objects.filter(pk=bob.pk).update(**change)
    enter("bob")
    assert hashing() == 1, "verified anew"


def test_a_changed_password_works_at_once_and_the_old_one_no_more(bob: User) -> None:
    assert enter("bob") == bob
    bob.set_password("Other12345")
    bob.save()
    assert enter("bob") is None
    assert enter("bob", "Other12345") == bob


def test_what_is_remembered_gives_the_rights_of_now(bob: User) -> None:
    enter("bob")
    User.objects.filter(pk=bob.pk).update(sysadmin_flag=True)
    again = enter("bob")
    assert again is not None
    assert again.is_superuser


def test_what_is_remembered_has_the_roles_of_now(library: Project, bob: User) -> None:
    for role, may in ((Role.DEVELOPER, True), (Role.GUEST, False), (Role.MAINTAINER, True)):
        library.members.filter(user=bob).update(role=role)
        assert can(cast("User", enter("bob")), "repository:push", library) is may
    library.members.filter(user=bob).delete()
    assert not can(cast("User", enter("bob")), "repository:pull", library)


@pytest.mark.parametrize("change", ["secret", "disable", "expires_at", "delete", "prefix"])
def test_a_robot_accounts_pair_is_forgotten_when_it_changes(library: Project, change: str) -> None:
    robot = make_robot("ci", project=library)
    assert enter("robot$library+ci") == robot
    match change:
        case "delete":
            robot.delete()
        case "prefix":
            params.update({"robot_name_prefix": "bot-"})
            params.forget()
        case _:
            value = {"secret": make_password("Other12345"), "disable": True, "expires_at": 1}[change]
            Robot.objects.filter(pk=robot.pk).update(**{change: value})
    assert enter("robot$library+ci") is None


def test_wrong_pairs_are_not_remembered(bob: User) -> None:
    for attempt in range(5):
        enter("bob", f"Wrong{attempt}")
    assert len(signin._remembered) == 0


def test_a_crowd_with_one_pair_is_hashed_for_once() -> None:
    """Those who wait find what the first one verified; another pair does not wait for them."""
    memory: Remembered[int] = Remembered(seconds=60, size=100)
    crowd, other = memory.digest("bob", PASSWORD), memory.digest("carol", PASSWORD)
    hashed, other_came_in = [], threading.Event()

    def enter() -> None:
        with memory.alone(crowd):
            if memory.get(crowd) is None:
                hashed.append(threading.get_ident())
                assert other_came_in.wait(10)
                memory.add(crowd, 1, b"")

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    with memory.alone(other):
        other_came_in.set()
    for thread in threads:
        thread.join(10)
    assert len(hashed) == 1
    assert not memory._gates


def test_the_memory_is_bounded_and_holds_no_password() -> None:
    memory: Remembered[int] = Remembered(seconds=60, size=100)
    for number in range(1000):
        memory.add(memory.digest("bob", str(number)), number, b"")
    assert len(memory) == 100
    assert memory.get(memory.digest("bob", "0")) is None
    newest = memory.get(memory.digest("bob", "999"))
    assert newest is not None
    assert newest.account == 999
    assert memory.digest("ab", "c") != memory.digest("a", "bc")
    assert memory.digest("a") != Remembered[int](seconds=60, size=1).digest("a"), "each process has its own key"


# --- The default password ---------------------------------------------------------------------------------


@pytest.fixture
def fresh(db: None) -> User:
    """The administrator of a new installation."""
    return make_user("admin", pk=1, password="Harbor12345", sysadmin_flag=True)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_the_default_password_works_from_this_machine(fresh: User, address: str) -> None:
    assert enter("admin", "Harbor12345", address) == fresh
    assert enter("admin@example.com", "Harbor12345", address) == fresh


@pytest.mark.parametrize("address", ["192.0.2.7", "10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "", "localhost", "0.0.0.0"])
def test_the_default_password_is_refused_from_elsewhere_with_what_to_do(fresh: User, address: str) -> None:
    for _ in range(2):
        with pytest.raises(DefaultPasswordRefused, match=r"manage\.py users set-password admin"):
            enter("admin", "Harbor12345", address)
    assert enter("admin", "Wrong12345", address) is None
    enter("admin", "Harbor12345", LOOPBACK)  # what is remembered from here opens nothing there
    with pytest.raises(DefaultPasswordRefused):
        enter("admin", "Harbor12345", address)


def test_a_changed_password_works_from_everywhere(fresh: User) -> None:
    fresh.set_password("Better12345")
    fresh.save()
    assert enter("admin", "Better12345", ELSEWHERE) == fresh
    assert enter("admin", "Harbor12345", ELSEWHERE) is None


def test_the_rule_is_about_the_built_in_administrator_alone(fresh: User) -> None:
    other = make_user("other", password="Harbor12345")
    assert enter("other", "Harbor12345", ELSEWHERE) == other


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ({}, "127.0.0.1"),
        ({"X-Forwarded-For": "127.0.0.1"}, "127.0.0.1"),
        ({"X-Forwarded-For": "192.0.2.7"}, "192.0.2.7"),
        ({"X-Forwarded-For": "127.0.0.1, 192.0.2.7, ::1"}, "192.0.2.7"),
        ({"X-Forwarded-For": "192.0.2.7:4711"}, "192.0.2.7"),
        ({"X-Forwarded-For": "[2001:db8::1]:4711"}, "2001:db8::1"),
        ({"X-Forwarded-For": "unknown"}, "unknown"),
        ({"X-Forwarded-For": "127.0.0.1,"}, ""),
        ({"X-Real-IP": "192.0.2.7"}, "192.0.2.7"),
        ({"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "192.0.2.7"}, "192.0.2.7"),
        ({"Forwarded": 'for=127.0.0.1, For="[2001:db8::1]:80";proto=https'}, "2001:db8::1"),
        ({"Forwarded": "for=_hidden"}, "_hidden"),
    ],
)
def test_forwarding_headers_make_a_request_remote_but_never_local(headers: dict[str, str], address: str) -> None:
    sent = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    assert client_address({"REMOTE_ADDR": "127.0.0.1", **sent}) == address
    local = dict.fromkeys(sent, "127.0.0.1")
    assert client_address({"REMOTE_ADDR": ELSEWHERE, **local}) == ELSEWHERE


def test_what_a_client_writes_into_forwarding_headers_does_not_hide_where_it_is() -> None:
    """A proxy on this machine adds its peer at the end."""
    invented = {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": f"198.51.100.9, 127.0.0.1, {ELSEWHERE}"}
    assert client_address(invented) == ELSEWHERE
    assert (
        client_address({**invented, "HTTP_X_REAL_IP": "198.51.100.9", "HTTP_FORWARDED": "for=198.51.100.9"})
        == ELSEWHERE
    )


def test_the_token_service_says_what_to_do_about_the_default_password(fresh: User) -> None:
    client = Client(headers={"Authorization": basic("admin", "Harbor12345"), "Accept-Language": "zh-hans"})
    address = "/service/token?service=harbor-registry"
    refused = client.get(address, REMOTE_ADDR=ELSEWHERE)
    assert (refused.status_code, error_code(refused)) == (401, "UNAUTHORIZED")
    assert "manage.py users set-password admin" in refused.content.decode()
    assert refused["WWW-Authenticate"] == 'Basic realm="harbor"'
    assert client.get(address, headers={"X-Forwarded-For": ELSEWHERE}).status_code == 401
    assert client.get(address).status_code == 200


def test_the_portals_door_keeps_the_same_rules(fresh: User, client: Client) -> None:
    with pytest.raises(DefaultPasswordRefused):
        authenticate(username="admin", password="Harbor12345")
    make_robot("ci")
    assert authenticate(username="robot$ci", password=PASSWORD) is None, "robot accounts have no session"
    assert authenticate(username="admin", password="Wrong12345") is None


def test_a_session_ends_with_the_account(bob: User, client: Client) -> None:
    client.force_login(bob)
    address = "/service/token?service=harbor-registry"
    assert client.get(address).status_code == 200
    User.objects.filter(pk=bob.pk).update(is_active=False)
    assert client.get(address).status_code == 401
    User.objects.filter(pk=bob.pk).update(is_active=True)
    assert client.get(address).status_code == 200
    bob.set_password("Other12345")
    bob.save()
    assert client.get(address).status_code == 401
