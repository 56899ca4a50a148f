"""Setting up and running from the shell, with real processes: prepare, users, serve, start, stop, install.sh."""

from __future__ import annotations

import getpass
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import MySQLdb
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from harborsite.setup import logfile
from tests import images
from tests.clients.registry import Registry
from tests.factories import basic
from tests.services import LOOPBACK, ROOT, Site, harborsite, own_database, small_disk

PASSWORD = "Secret12345"


def manage(site: Site, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command that may fail."""
    argv = [sys.executable, str(ROOT / "manage.py"), *arguments]
    env = os.environ | site.env
    return subprocess.run(argv, env=env, input=given, capture_output=True, text=True, timeout=120)


def refusal(site: Site, *arguments: str, given: str = "") -> str:
    """The one line with which a command that has to fail says why."""
    done = manage(site, *arguments, given=given)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.strip()


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Site]:
    """A configuration with nothing behind it."""
    with own_database() as env:
        yield Site(tmp_path, env, {})


@pytest.fixture
def site(bare: Site) -> Site:
    """A prepared installation that does not run."""
    bare.manage("prepare")
    return bare


def kept_files(site: Site) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (site.data / "secret").iterdir()}


def users(site: Site) -> dict[str, dict[str, object]]:
    return {row["username"]: row for row in json.loads(site.manage("users", "list", "--json"))}


# --- prepare ----------------------------------------------------------------------------------------------


def test_prepare_makes_what_the_product_needs_for_its_owner_alone(site: Site) -> None:
    assert kept_files(site).keys() == {"private_key.pem", "root.crt", "django_key", "secretkey"}
    for path in [site.data, *site.data.rglob("*")]:
        if (site.data / "static") not in [path, *path.parents]:
            assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    assert users(site)["admin"]["user_id"] == 1
    assert users(site)["admin"]["sysadmin_flag"] is True


def test_prepare_again_changes_neither_keys_nor_accounts(site: Site) -> None:
    before = kept_files(site)
    site.manage("users", "set-password", "admin", "--password", PASSWORD)
    site.manage("users", "create", "ann", "--email", "ann@example.com", "--password", PASSWORD)
    known = users(site)
    assert "up to date" in site.manage("prepare")
    assert kept_files(site) == before
    assert users(site) == known


@pytest.mark.slow
def test_a_prepare_that_was_killed_goes_through_the_next_time(bare: Site) -> None:
    """Wherever it is struck; MySQL can not take back half of a first migration, so it starts over."""
    for delay in (0.2, 0.4, 0.6, 0.8, 1.0, 1.3, 1.6):
        argv = [sys.executable, str(ROOT / "manage.py"), "prepare"]
        with subprocess.Popen(argv, env=os.environ | bare.env, stdout=subprocess.DEVNULL) as process:
            time.sleep(delay)
            process.kill()
    bare.manage("prepare")
    assert users(bare).keys() == {"admin"}
    assert {path.name for path in (bare.data / "secret").iterdir()} == {
        *("private_key.pem", "root.crt", "django_key", "secretkey")
    }


def test_a_second_prepare_waits_its_turn(site: Site) -> None:
    import fcntl

    with (site.data / "prepare.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another 'prepare' is at work" in refusal(site, "prepare")


def own_pair() -> tuple[rsa.RSAPrivateKey, dict[str, bytes]]:
    """A key and its certificate as an operator may have them, by the names of their files."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tokens of ours")]), datetime.now(UTC)
    certificate = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    lasting = certificate.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    pem = serialization.Encoding.PEM
    return key, {
        "private_key.pem": key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        "root.crt": lasting.sign(key, hashes.SHA256()).public_bytes(pem),
    }


def test_own_keys_are_taken_but_must_be_there_and_fit(tmp_path: Path) -> None:
    key, pair = own_pair()
    with own_database() as env:
        site = Site(tmp_path, env, {"customize_crt": "off"})
        assert "private_key.pem: there is no such file, and customize_crt is off" in refusal(site, "prepare")
        for name, content in pair.items():
            (site.data / "secret" / name).write_bytes(content)
        site.manage("prepare")
        assert {name: kept_files(site)[name] for name in pair} == pair
        site.start()
        try:
            token = Registry(site.host, "admin", site.password).token("repository:library/a:pull")
            jwt.decode(token, key.public_key(), algorithms=["RS256"], options={"verify_aud": False})
        finally:
            site.server.stop()
        (site.data / "secret" / "private_key.pem").write_bytes(own_pair()[1]["private_key.pem"])
        for command in ("prepare", "serve"):
            assert "root.crt: is not the certificate of private_key.pem. Put the two" in refusal(site, command)


def own_tables(site: Site, statement: str) -> set[str]:
    """Those of MariaDB itself, after a statement of its root."""
    place = str(site.data / "run" / "mariadb.sock")
    with (
        closing(MySQLdb.connect(unix_socket=place, user=getpass.getuser(), database="mysql")) as server,
        closing(server.cursor()) as cursor,
    ):
        cursor.execute(statement)
        cursor.execute("SHOW TABLES")
        return {row[0] for row in cursor.fetchall()}


def test_a_newer_mariadb_brings_its_own_tables_up_to_date() -> None:
    """As after an upgrade of Debian: doctor says so, `prepare` does it, and nothing is left to do."""

    def verdict(site: Site) -> str:
        findings = json.loads(manage(site, "doctor", "--json").stdout)
        return str(next(finding["verdict"] for finding in findings if finding["name"] == "database"))

    with harborsite({"HARBOR_DATABASE": "mariadb", "HARBOR_DB_PASSWORD": PASSWORD}) as site:
        info = site.data / "mariadb" / "mysql_upgrade_info"
        made_by = info.read_text()
        assert verdict(site) == "ok"
        own_tables(site, "DROP TABLE time_zone_leap_second")  # as if the older series had not known it
        info.write_text("10.1.48-MariaDB")
        assert verdict(site) == "warning"
        site.server.stop()
        assert "MariaDB               its own tables upgraded from 10.1.48-MariaDB" in site.manage("prepare")
        assert "MariaDB" not in site.manage("prepare")
        site.start()
        assert "time_zone_leap_second" in own_tables(site, "DO 0")
        assert info.read_text().strip() == made_by.strip()
        assert verdict(site) == "ok"


def test_a_volume_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with own_database() as env:
        site = Site(tmp_path, env, {"data_volume": "./file/data"})
        assert f"{tmp_path}/file/data: Not a directory" in refusal(site, "prepare")


def test_a_place_where_no_certificate_can_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with own_database() as env:
        site = Site(tmp_path, env, {"ssl_cert": "./file/cert/s.crt", "ssl_cert_key": "./file/cert/s.key"})
        assert f"{tmp_path}/file/cert: Not a directory. The user that runs" in refusal(site, "make_cert")


@pytest.mark.parametrize("command", ["prepare", "serve", "start", "stop", "status", "users"])
def test_every_command_refuses_a_bad_configuration_by_key_and_line(bare: Site, command: str) -> None:
    line = bare.config.read_text().count("\n") + 1
    with bare.config.open("a") as file:
        file.write("token_expiration = soon\n")
    assert refusal(bare, command) == (
        f"configuration error: {bare.config}:{line}: token_expiration: 'soon' is not usable: "
        "must be a whole number from 1 to 9999999999"
    )


# --- users ------------------------------------------------------------------------------------------------


def test_accounts_are_administered_from_the_shell(site: Site) -> None:
    made = manage(site, "users", "create", "ann", "--email", "ann@example.com", "--json", given=f"{PASSWORD}\n")
    assert json.loads(made.stdout)["username"] == "ann"
    assert json.loads(site.manage("users", "disable", "ann", "--json"))["disabled"] is True
    assert json.loads(site.manage("users", "disable", "ann", "--undo", "--json"))["disabled"] is False
    assert json.loads(site.manage("users", "set-admin", "ann", "--json"))["sysadmin_flag"] is True
    assert json.loads(site.manage("users", "set-admin", "ann", "--undo", "--json"))["sysadmin_flag"] is False
    assert "ann@example.com" in site.manage("users", "list")


def test_what_cannot_be_done_to_accounts_is_refused_in_one_line(site: Site) -> None:
    assert "there is no user 'nobody'" in refusal(site, "users", "disable", "nobody")
    assert "at least 1 uppercase letter" in refusal(site, "users", "create", "ann", "--email", "a@b.co", given="weak\n")
    assert "last active administrator" in refusal(site, "users", "disable", "admin")
    assert manage(site, "users", "rename", "admin").returncode == 2


def test_users_asks_for_a_prepared_installation(bare: Site) -> None:
    assert "is not prepared for this version. Run 'manage.py prepare'" in refusal(bare, "users", "list")


# --- serve, start, status, stop ---------------------------------------------------------------------------


def test_serve_refuses_a_port_that_is_taken(site: Site) -> None:
    with socket.create_server((LOOPBACK, site.port)):
        assert refusal(site, "serve").endswith(
            f"http_port: cannot listen on {LOOPBACK}:{site.port}: Address already in use. "
            "Another program listens there: stop it, or change http_port."
        )


def test_serve_refuses_an_address_of_another_machine(site: Site) -> None:
    site.config.write_text(site.config.read_text().replace(f"bind = {LOOPBACK}", "bind = 192.0.2.1"))
    assert "Change bind to an address of this machine" in refusal(site, "serve")


def test_serve_refuses_an_installation_that_is_not_prepared(bare: Site) -> None:
    assert "Run 'manage.py prepare'" in refusal(bare, "serve")


def test_https_needs_a_certificate_that_one_command_makes(site: Site) -> None:
    with site.config.open("a") as file:
        file.write("ui_url_protocol = https\nssl_cert = cert/server.crt\nssl_cert_key = cert/server.key\n")
    for words in (["parts", "missing"], ["prepare"], ["serve"]):
        assert "there is no file" in refusal(site, *words)
        assert "run 'manage.py make_cert'" in refusal(site, *words)
    assert f"/etc/docker/certs.d/{LOOPBACK}:8443/ca.crt" in site.manage("make_cert")
    assert "certificate valid until" in site.manage("prepare")
    (site.directory / "cert" / "server.key").write_text("no PEM\n")
    for command in ("prepare", "serve"):
        assert "cannot be read as a PEM private key" in refusal(site, command)


def test_make_cert_says_what_to_write_into_the_configuration(bare: Site) -> None:
    """The order of the guide: first the certificate, then harbor.cfg."""
    said = bare.manage("make_cert", "--name", "reg.example")
    certificate = bare.data / "cert" / "server.crt"
    assert f"ssl_cert = {certificate}" in said
    with bare.config.open("a") as file:
        file.write(said.partition("again:\n")[2])
    assert "certificate valid until" in bare.manage("prepare")
    assert f"{certificate} kept" in bare.manage("make_cert")


@pytest.mark.parametrize(
    ("disk", "complaint"),
    [("512k", "No space left on device. Make room"), ("64m,ro", "Read-only file system. Mount that disk for writing")],
)
def test_a_volume_without_room_or_read_only_is_refused_before_anything_is_made(
    tmp_path: Path, disk: str, complaint: str
) -> None:
    (tmp_path / "data").mkdir()
    with own_database() as env, small_disk(tmp_path / "data", disk) as inside:
        site = Site(tmp_path, env, {}, inside)
        with pytest.raises(AssertionError) as refused:
            site.manage("prepare")
        assert f"{site.config}:4: data_volume: {site.data} cannot be written to: {complaint}" in str(refused.value)
        left = subprocess.run([*inside, "ls", site.data], stdout=subprocess.PIPE, text=True).stdout
        assert left == ""


def test_an_older_version_does_not_touch_a_newer_database(site: Site) -> None:
    mark = "from django.db.migrations.recorder import MigrationRecorder as R; from django.db import connection as c; "
    site.manage("shell", "-c", mark + "R(c).record_applied('registry', '9999_from_the_future')")
    for command in ("serve", "prepare"):
        assert "written by a newer version of Harborsite" in refusal(site, command)


def test_the_background_server_is_started_seen_and_stopped(site: Site) -> None:
    """One server per data volume, found by its lock; stopping it leaves no process and a free port."""
    assert manage(site, "status").returncode == 3
    assert json.loads(manage(site, "status", "--json").stdout)["running"] is False
    try:
        said = site.manage("start")
        assert f"docker login {site.host} -u admin" in said
        assert site.url in said
        status = json.loads(site.manage("status", "--json"))
        assert status["healthy"] is True
        assert f"as process {status['pid']}" in site.manage("status")
        for command in ("start", "serve"):
            assert f"running already on {site.data}, as process {status['pid']}" in refusal(site, command)
    finally:
        stopped = site.manage("stop")
    assert "stopped" in stopped
    assert "not running" in site.manage("stop")
    with socket.create_server((LOOPBACK, site.port)):
        pass


def test_a_server_that_was_killed_does_not_block_the_next(site: Site) -> None:
    """No stale process id: the lock dies with its holder."""
    try:
        site.manage("start")
        pid = json.loads(site.manage("status", "--json"))["pid"]
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while manage(site, "status").returncode != 3 or taken(site.port):
            assert time.monotonic() < deadline
        site.manage("start")
    finally:
        site.manage("stop")


def taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def test_a_running_server_cuts_its_log_in_place(site: Site) -> None:
    """Its processes go on writing to the file that they inherited."""
    log = site.data / "log" / "harborsite.log"
    try:
        site.manage("start")
        with log.open("ab") as file:
            file.truncate(21 * 1024 * 1024)
        deadline = time.monotonic() + 10
        while log.stat().st_size > 1024 * 1024:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        site.manage("stop")
    assert log.with_name("harborsite.log.1").stat().st_size == 21 * 1024 * 1024
    assert "stopped" in log.read_text()


def test_a_start_that_fails_shows_what_the_log_says(site: Site) -> None:
    with socket.create_server((LOOPBACK, site.port)):
        said = manage(site, "start")
    assert said.returncode == 1
    assert "the server ended at once" in said.stderr
    assert "Another program listens there" in said.stderr


def test_the_log_is_cut_when_it_is_large_and_a_few_old_ones_stay(tmp_path: Path) -> None:
    log = tmp_path / "harborsite.log"
    for number in range(8):
        with log.open("a") as file:
            file.write(f"{number}" * 20)
        assert logfile.rotate(log, largest=10)
        assert not logfile.rotate(log, largest=10)
    assert log.read_text() == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "harborsite.log",
        *(f"{log.name}.{n}" for n in range(1, 6)),
    ]
    assert (tmp_path / f"{log.name}.1").read_text() == "7" * 20


# --- gc ---------------------------------------------------------------------------------------------------


def test_garbage_is_collected_from_the_shell_while_the_server_runs() -> None:
    """A blob that no image needs stays during the grace, is named by a dry run, and goes by a real one."""
    with harborsite() as site:
        data = b"of no use"
        digest = images.digest_of(data)
        post = f"library/leftover/blobs/uploads/?digest={digest}"
        assert ask(site, "POST", post, data) == 201
        assert json.loads(site.manage("gc", "--json"))["blobs"] == 0
        assert json.loads(site.manage("gc", "--grace", "0", "--dry-run", "--json"))["blobs"] == 1
        assert ask(site, "HEAD", f"library/leftover/blobs/{digest}") == 200
        assert f"blob {digest}" in site.manage("gc", "--grace", "0", "--delete-untagged")
        assert ask(site, "HEAD", f"library/leftover/blobs/{digest}") == 404


def ask(site: Site, method: str, path: str, data: bytes | None = None) -> int:
    """The status of a registry request of the administrator."""
    headers = {"Authorization": basic("admin", Site.password), "Content-Type": "application/octet-stream"}
    request = urllib.request.Request(f"{site.url}/v2/{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
