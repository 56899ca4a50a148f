"""Directories that are down, slow, not what they seem, or set up wrongly."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client

from harborsite import configvalues
from projects import params
from projects.identity import ldap
from projects.identity.ldap.errors import DirectoryUnavailable
from projects.models import User
from tests.factories import basic
from tests.ldap.conftest import Configure, enter
from tests.slapd import OTHER_ADDRESS, SEARCH_DN, Slapd, make_certificate


@pytest.fixture
def silent() -> Iterator[int]:
    """A port where connections are taken and nothing is ever said."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        taken: list[socket.socket] = []

        def take() -> None:
            while True:
                try:
                    taken.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in taken:
            connection.close()


def reason(caplog: pytest.LogCaptureFixture, username: str = "lena") -> str:
    """What the log says about a sign-in that nobody could decide."""
    caplog.clear()
    with caplog.at_level(logging.ERROR), pytest.raises(DirectoryUnavailable):
        enter(username)
    (record,) = [each for each in caplog.records if each.getMessage() == "directory cannot be used"]
    return str(record.reason)  # type: ignore[attr-defined]


def test_a_directory_that_is_down_stops_its_own_people_alone(
    directory: Configure, carol: User, caplog: pytest.LogCaptureFixture
) -> None:
    directory(url="ldap://127.0.0.1:1")
    assert enter("carol", "Secret12345") == carol
    assert "no connection to ldap://127.0.0.1:1" in reason(caplog)
    answer = Client(headers={"Authorization": basic("lena", "x")}).get("/service/token?service=harbor-registry")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert Client().post("/c/login", {"principal": "lena", "password": "x"}).status_code == 503


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_the_sign_in_page_says_that_the_directory_does_not_answer(directory: Configure, language: str) -> None:
    directory(url="ldap://127.0.0.1:1")
    client = Client(headers={"Accept-Language": language})
    page = client.post("/login/", {"username": "lena", "password": "x"})
    said = {"en": "The directory of this account does not answer", "zh-hans": "目录"}[language]
    assert page.status_code == 200
    assert said in page.content.decode()
    for inner in ("127.0.0.1", "Traceback", "LDAP"):
        assert inner not in page.content.decode().partition("<form")[2].partition("</form>")[0]


@pytest.mark.parametrize(("scheme", "start_tls"), [("ldap", False), ("ldap", True), ("ldaps", False)])
def test_a_directory_that_says_nothing_is_given_up_in_time(
    directory: Configure, silent: int, scheme: str, start_tls: bool, caplog: pytest.LogCaptureFixture
) -> None:
    directory(url=f"{scheme}://127.0.0.1:{silent}", start_tls=start_tls, timeout=1)
    start = time.monotonic()
    assert reason(caplog)
    assert time.monotonic() - start < 2.5


def test_a_directory_that_did_not_answer_is_left_alone_for_a_moment(
    directory: Configure, silent: int, carol: User, caplog: pytest.LogCaptureFixture
) -> None:
    """So that those who wait for it do not hold every thread."""
    directory(url=f"ldap://127.0.0.1:{silent}", timeout=1)
    reason(caplog)
    start = time.monotonic()
    for name in ("lena", "tom", "nobody"):
        assert "left alone" in reason(caplog, name)
    assert enter("carol", "Secret12345") == carol
    assert time.monotonic() - start < 0.9
    ldap.forget()
    assert "no answer within 1 s" in reason(caplog)


def test_an_answer_in_drops_does_not_hold_a_sign_in_longer(
    directory: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    """The limit is for the conversation, not for each of its steps."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        success = bytes.fromhex("300c0201016107 0a010004000400".replace(" ", ""))

        def drip() -> None:
            with listener.accept()[0] as connection:
                connection.recv(4096)
                time.sleep(0.7)
                connection.sendall(success)  # the searching account is let in
                connection.recv(4096)
                time.sleep(2)

        thread = threading.Thread(target=drip)
        thread.start()
        directory(url=f"ldap://127.0.0.1:{listener.getsockname()[1]}", timeout=1)
        start = time.monotonic()
        assert "no answer within 1 s" in reason(caplog)
        assert time.monotonic() - start < 1.5
        thread.join()


# --- TLS --------------------------------------------------------------------------------------------------


def test_encrypted_connections_are_checked_with_the_given_certificates(directory: Configure, slapd: Slapd) -> None:
    for settings in ({"url": slapd.tls_url}, {"start_tls": True}):
        directory(ca_certificate=slapd.ca, **settings)
        assert enter("lena")
        assert "TLS established" in slapd.log.rpartition("ACCEPT")[2]


@pytest.mark.parametrize("start_tls", [False, True])
def test_a_certificate_that_nobody_vouches_for_is_refused(
    directory: Configure, slapd: Slapd, tmp_path: Path, start_tls: bool, caplog: pytest.LogCaptureFixture
) -> None:
    url = slapd.url if start_tls else slapd.tls_url
    strangers = make_certificate(tmp_path / "other").ca.read_text()
    for trusted in ("", strangers):
        directory(url=url, start_tls=start_tls, ca_certificate=trusted)
        before = len(slapd.operations())
        assert f"the certificate of {url} cannot be trusted: self-signed" in reason(caplog)
        assert "BIND" not in slapd.operations()[before:], "no password has left"
    directory(url=url, start_tls=start_tls, verify_cert=False)
    assert enter("lena"), "the operator may switch the check off"


def test_a_certificate_of_another_name_is_refused(
    directory: Configure, slapd: Slapd, caplog: pytest.LogCaptureFixture
) -> None:
    directory(url=f"ldaps://{OTHER_ADDRESS}:{slapd.tls_port}", ca_certificate=slapd.ca)
    assert "certificate is not valid for '127.0.0.2'" in reason(caplog)


def test_a_handshake_that_does_not_go_on_is_given_up_in_time(
    directory: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that says yes to StartTLS, and then nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def fall_silent() -> None:
            with listener.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(bytes.fromhex("300c02010178070a010004000400"))
                while connection.recv(4096):
                    pass

        thread = threading.Thread(target=fall_silent)
        thread.start()
        directory(url=f"ldap://127.0.0.1:{listener.getsockname()[1]}", start_tls=True, timeout=1)
        start = time.monotonic()
        assert "no answer within 1 s" in reason(caplog)
        assert time.monotonic() - start < 1.5
        thread.join()


def test_start_tls_is_never_left_out(directory: Configure, caplog: pytest.LogCaptureFixture) -> None:
    """A server that cannot, or somebody between who says so, gets no password in clear."""
    received = bytearray()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def refuse() -> None:
            with listener.accept()[0] as connection:
                connection.settimeout(3)
                while data := connection.recv(4096):
                    received.extend(data)
                    connection.sendall(bytes.fromhex("300c02010178070a010204000400"))  # protocolError

        thread = threading.Thread(target=refuse)
        thread.start()
        directory(url=f"ldap://127.0.0.1:{listener.getsockname()[1]}", start_tls=True)
        assert reason(caplog)
        thread.join()
    assert b"1.3.6.1.4.1.1466.20037" in received, "it asked for TLS"
    assert SEARCH_DN.encode() not in received
    assert b"may-search" not in received


# --- wrong settings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"search_password": "wrong"}, f"{SEARCH_DN} is not let in: wrong DN or password"),
        ({"search_dn": "cn=nobody,dc=example,dc=com"}, "cn=nobody,dc=example,dc=com is not let in"),
        ({"base_dn": "ou=nowhere,dc=example,dc=com"}, "the server knows no entry ou=nowhere,dc=example,dc=com"),
        ({"base_dn": "dc=elsewhere,dc=example"}, "ldap: "),
    ],
)
def test_the_log_says_what_is_wrong_with_the_settings(
    directory: Configure, changed: dict[str, str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    directory(**changed)
    assert said in reason(caplog)
    assert "may-search" not in caplog.text
    assert "wrong" not in caplog.text.replace("wrong DN or password", "")


def test_a_search_without_an_account_finds_nobody_where_the_server_tells_strangers_nothing(
    directory: Configure,
) -> None:
    directory(search_dn="", search_password="")
    with pytest.raises(DirectoryUnavailable):
        enter("lena")
    assert not User.objects.filter(source="ldap").exists()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("ldap_filter", "(&(a=b)", "ldap_filter: must be an LDAP filter"),
        ("ldap_group_search_filter", "(a=b))", "ldap_group_search_filter: must be one LDAP filter"),
        ("ldap_base_dn", "people", "ldap_base_dn: must be a distinguished name"),
        ("ldap_base_dn", "", "ldap_base_dn"),
        ("ldap_group_admin_dn", "admins", "ldap_group_admin_dn: must be a distinguished name"),
        ("ldap_uid", "uid=*)(x", "ldap_uid: must be the name of an attribute"),
        ("ldap_url", "http://x", "ldap_url: must be a URL with scheme ldap or ldaps"),
        ("ldap_scope", 3, "ldap_scope"),
        ("ldap_timeout", 0, "ldap_timeout"),
        ("sign_in_sources", "database oidc", "sign_in_sources: must name each of database, ldap"),
    ],
)
def test_settings_that_cannot_be_right_are_refused_with_key_and_reason(
    admin: User, key: str, value: str | int, said: str
) -> None:
    client = Client(headers={"Authorization": basic("admin")})
    answer = client.put("/api/v2.0/configurations", {key: value}, content_type="application/json")
    assert answer.status_code == 400
    assert said in answer.json()["errors"][0]["message"]
    assert params.get(params.PARAMS[key]) != value or value == ""


def test_an_address_that_the_server_may_not_call_is_not_called(
    directory: Configure, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from tests.test_outbound import allow

    allow(monkeypatch)
    assert "not in allowed_networks" in reason(caplog)


def test_the_names_of_sources_are_read_as_in_the_file() -> None:
    assert configvalues.sources("database, ldap ldap_2") == ("database", "ldap", "ldap_2")
