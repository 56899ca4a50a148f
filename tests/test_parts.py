"""The parts of a node without starting them: what is made for nginx, MariaDB, rsyslog and systemd."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from harborsite import config as boot
from harborsite import parts
from harborsite.parts import choice, systemd
from harborsite.setup import SetupError, certificates
from tests.services import ROOT, workspace

ALL = "with_proxy = on\ndatabase = mariadb\ndb_password = secret\n"


def load(directory: Path, text: str, **environ: str) -> boot.Config:
    file = directory / "harbor.cfg"
    file.write_text(text)
    return boot.load(file, environ)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        ("with_proxy = on", ["rsyslog", "nginx"]),
        ("database = mariadb", ["mariadb"]),
        (ALL, ["mariadb", "rsyslog", "nginx"]),
        ("with_proxy = on\ndatabase = mysql://u@h/n", ["rsyslog", "nginx"]),
    ],
)
def test_the_configuration_says_which_parts_run(tmp_path: Path, text: str, names: list[str]) -> None:
    assert [part.name for part in parts.of(load(tmp_path, text))] == names


@pytest.mark.parametrize(
    "text",
    [
        "with_proxy = on",
        "with_proxy = on\nbind = 127.0.0.1",
        "with_proxy = on\nbind = [::1]",
        "with_proxy = on\nui_url_protocol = https\nssl_cert = c/s.crt\nssl_cert_key = c/s.key\nhttps_port = 443",
        "with_proxy = on\nui_url_protocol = https\nssl_cert = c/s.crt\nssl_cert_key = c/s.key\nhttp_port = 0",
    ],
)
def test_the_programs_take_what_is_made_for_them(tmp_path: Path, text: str) -> None:
    """nginx and rsyslog look at it themselves."""
    config = load(tmp_path, text)
    config.data_volume.mkdir()
    if config.is_https:
        certificates.make(config=config, days=1)
    parts.make_ready(config)
    made = (config.run_dir / "nginx.conf").read_text()
    assert "@" not in made.replace("@away", "")
    assert ("ssl_protocols TLSv1.2 TLSv1.3;" in made) is config.is_https
    assert (f"listen {'127.0.0.1' if '127' in text else '[::1]' if '::1' in text else '0.0.0.0'}:" in made) is True


def test_what_a_program_refuses_is_said_in_its_words(tmp_path: Path) -> None:
    config = load(tmp_path, "with_proxy = on\nui_url_protocol = https\nssl_cert = no.crt\nssl_cert_key = no.key\n")
    config.data_volume.mkdir()
    with pytest.raises(SetupError, match=r"nginx does not take the configuration .*no\.crt"):
        parts.make_ready(config)


def test_a_program_that_is_missing_is_named_by_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load(tmp_path, ALL)
    monkeypatch.setattr(parts, "_found", lambda program: None if program == "nginx" else f"/usr/sbin/{program}")
    with pytest.raises(SetupError, match="apt-get install -y --no-install-recommends nginx-light'"):
        parts.make_ready(config)
    assert not config.run_dir.exists()


def test_units_are_what_systemd_understands(tmp_path: Path) -> None:
    config = load(tmp_path, ALL)
    made = systemd.units(config)
    assert list(made) == [
        *("harborsite-mariadb.service", "harborsite-rsyslog.service", "harborsite-nginx.service"),
        *("harborsite.service", "harborsite.target"),
    ]
    for name, content in made.items():
        (tmp_path / name).write_text(content)
    files = [str(tmp_path / name) for name in made]
    done = subprocess.run(["systemd-analyze", "verify", *files], capture_output=True, text=True)
    complaints = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "harborsite" in line]
    assert complaints == []
    assert f"HARBOR_CFG={config.source}" in made["harborsite.service"]
    assert "After=network-online.target harborsite-mariadb.service" in made["harborsite.service"]


_AS_OWNER = """
import getpass, sys
from pathlib import Path
from harborsite import config
from harborsite.parts import systemd
from harborsite.setup import ownership

systemd.is_there = lambda: True
ownership.BASE_DIR = Path(sys.argv[1])  # where everybody may read
loaded = config.load(ownership.BASE_DIR / "harbor.cfg", {})

def work() -> None:
    said = f"{getpass.getuser()}\\n" + Path("/proc/self/status").read_text()
    (loaded.data_volume / "made").write_text(said)

ownership.as_owner(loaded, work)
"""


def test_root_sets_units_up_as_the_owner_of_the_data_who_may_use_low_ports() -> None:
    if os.geteuid() != 0:
        assert not systemd.is_there(), "units are for root to set up"
        return
    owner = pwd.getpwnam("nobody")
    with workspace("owner") as directory:
        directory.chmod(0o755)
        config = load(directory, ALL)
        config.data_volume.mkdir()
        os.chown(config.data_volume, owner.pw_uid, owner.pw_gid)
        assert "User=nobody" in systemd.units(config)["harborsite-mariadb.service"]
        assert "--user=root" not in systemd.units(config)["harborsite-mariadb.service"]
        run = partial(subprocess.run, [sys.executable, "-c", _AS_OWNER, str(directory)], cwd=ROOT, text=True)
        done = run(capture_output=True)
        assert done.returncode == 0, done.stderr
        made = config.data_volume / "made"
        assert made.stat().st_uid == owner.pw_uid
        assert made.read_text().startswith("nobody\n")
        assert "CapEff:\t0000000000000400\n" in made.read_text()  # CAP_NET_BIND_SERVICE and no other
        config.source.chmod(0o600)
        done = run(capture_output=True)
        assert done.returncode == 1
        assert f"Run 'chown nobody {config.source}'" in done.stderr


def test_a_path_too_long_for_a_socket_is_refused_by_its_key(tmp_path: Path) -> None:
    with pytest.raises(boot.ConfigError, match=r"harbor.cfg:1: data_volume: .* is too long for the sockets"):
        load(tmp_path, f"data_volume = {'x' * 100}\nwith_proxy = on\n")


@pytest.mark.parametrize("path", ["a b", "a;b", 'a"b', "a$b", "a{b"])
def test_a_path_that_means_something_to_a_part_is_refused_by_its_key(tmp_path: Path, path: str) -> None:
    with pytest.raises(boot.ConfigError, match=r"harbor.cfg:1: data_volume: .* is not usable with with_proxy"):
        load(tmp_path, f"data_volume = {path}\nwith_proxy = on\n")
    assert load(tmp_path, f"data_volume = {path}\n").data_volume.name == path


# --- install.sh --with-proxy ------------------------------------------------------------------------------


def test_a_node_without_a_database_gets_one_with_a_password(tmp_path: Path) -> None:
    config = load(tmp_path, "# mine\nhttp_port = 81\nwith_proxy = off # no\n".replace(" # no", ""))
    assert choice.choose(config) == ["with_proxy", "database", "db_password"]
    chosen = boot.load(config.source, {})
    assert (chosen.with_proxy, chosen.database.own, chosen.http_port) == (True, True, 81)
    assert len(chosen.db_password) >= 24
    assert config.source.read_text().startswith("# mine\nhttp_port = 81\nwith_proxy = on\n")
    assert config.source.stat().st_mode & 0o777 == 0o600
    assert choice.choose(chosen) == []


@pytest.mark.parametrize("given", ["database = sqlite", "database = mysql://u@h/n"])
def test_a_database_that_was_given_stays(tmp_path: Path, given: str) -> None:
    assert choice.choose(load(tmp_path, given)) == ["with_proxy"]


def test_a_sqlite_database_with_data_stays(tmp_path: Path) -> None:
    config = load(tmp_path, "")
    (config.data_volume / "database").mkdir(parents=True)
    assert choice.choose(config) == ["with_proxy"]


def test_an_environment_that_says_otherwise_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="HARBOR_WITH_PROXY is set in the environment"):
        choice.choose(load(tmp_path, "", HARBOR_WITH_PROXY="off"))
