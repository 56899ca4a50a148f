"""The configuration file and the parts that everything stands on."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import call_command

from harborsite import checks, config, directories
from harborsite.jobs.kinds import Kind
from harborsite.setup import configdocs


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "harbor.cfg"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_template_holds_the_defaults(tmp_path: Path) -> None:
    """Copying the template changes nothing but the directory that paths are relative to."""
    copied = config.load(written(tmp_path, config.TEMPLATE.read_text()), {})
    empty = config.load(written(tmp_path, ""), {})
    assert copied == empty
    assert copied.data_volume == tmp_path / "data"
    assert copied.registry_host == "localhost:8080"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("hostnam = x", "harbor.cfg:1: unknown key 'hostnam'"),
        ("\nhttp_port = eighty", "harbor.cfg:2: http_port: 'eighty' is not usable: must be a whole number"),
        ("http_port = 70000", "from 0 to 65535"),
        ("hostname = http://x", "without a scheme"),
        ("hostname", "expected 'key = value'"),
        ("hostname = a\nhostname = b", "was set before"),
        ("database = postgres://x", "mysql://user@host:port/name"),
        ("database = mysql://u:secret@h/n", "put it into db_password"),
        ("ui_url_protocol = https", "ssl_cert is needed"),
        ("\nui_url_protocol = https\nssl_cert = a.crt\nssl_cert_key =", "cfg:4: ssl_cert_key is needed"),
        ("http_port = 0", "cfg:1: http_port: 0 is not usable without https"),
        (
            "ui_url_protocol = https\nssl_cert = a\nssl_cert_key = b\nhttps_port = 8080",
            "cfg:4: https_port is the same as http_port",
        ),
        ("allowed_networks = 10.0.0.0/40", "allowed_networks"),
        ("customize_crt = maybe", "must be on or off"),
        ("harbor_admin_password =", "must not be empty"),
        ("auth_mode = ldap_auth", "cfg: ldap_url is needed: users are looked for in ldap"),
        ("sign_in_sources = database ldap_2", "ldap_2_url is needed"),
        ("sign_in_sources = ldap ldap", "cfg:1: sign_in_sources: 'ldap ldap' is not usable: must name each of"),
        ("ldap_url = http://x", "must be a URL with scheme ldap or ldaps"),
        ("ldap_url = ldap://x", "ldap_basedn: is needed with ldap_url"),
        ("ldap_basedn = people", "cfg:1: ldap_basedn: 'people' is not usable: must be a distinguished name"),
        ("ldap_filter = (&(a=b)(c=d)", "cfg:1: ldap_filter: '(&(a=b)(c=d)' is not usable: must be an LDAP filter"),
        ("ldap_filter = (a=b)(c=d)", "must be one LDAP filter; it ends at '(a=b)'"),
        ("ldap_filter = (a=*(b)", "')' is missing"),
        ("ldap_filter = (!(a=b)(c=d))", "needs filters in parentheses"),
        ("ldap_filter = person", "'person' is not usable"),
        ("ldap_uid = uid=", "must be the name of an attribute"),
        ("ldap_searchdn = cn=search", "ldap_search_pwd: is needed with ldap_searchdn"),
        ("ldap_search_pwd = secret\nldap_timeout = 0", "cfg:2: ldap_timeout"),
        ("ldap_ca_file = nowhere.pem", "nowhere.pem cannot be read"),
        (
            "\nldap_2_url = ldaps://x\nldap_2_basedn = dc=x\nldap_2_start_tls = on",
            "cfg:4: ldap_2_start_tls: must be off",
        ),
        ("ldap_10_url = ldap://x", "unknown key 'ldap_10_url'"),
        ("ldap_2_color = red", "unknown key 'ldap_2_color'"),
    ],
)
def test_a_bad_line_is_refused_by_key_and_line(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(config.ConfigError) as refused:
        config.load(written(tmp_path, text), {})
    assert complaint in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_named_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match="there is no such file"):
        config.load(config.config_path({"HARBOR_CFG": str(tmp_path / "none.cfg")}), {})


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    loaded = config.load(written(tmp_path, "http_port = 81"), {"HARBOR_HTTP_PORT": "82"})
    assert loaded.http_port == 82


def test_an_old_harbor_file_is_read(tmp_path: Path) -> None:
    """Keys of Harbor 1.2 that mean nothing here do no harm."""
    text = "hostname = reg.example\nadmiral_url = NA\nlog_rotate_count = 50\nself_registration = on\nssl_cert = /x\n"
    assert config.load(written(tmp_path, text), {}).self_registration is True


def test_further_ldap_servers_have_the_same_keys_with_a_number(tmp_path: Path) -> None:
    text = (
        "auth_mode = ldap_auth\nldap_url = ldap://a\nldap_basedn = dc=a\nldap_scope = 3\n"
        "ldap_3_url = ldaps://c\nldap_3_basedn = dc=c\nldap_3_filter = objectClass=person\n"
    )
    loaded = config.load(written(tmp_path, text), {"HARBOR_LDAP_3_UID": "sAMAccountName"})
    first, third = loaded.directories
    assert (first.name, first.uid, first.scope) == ("ldap", "cn", 2), "3 is how Harbor 1.2 writes a subtree"
    assert (third.name, third.uid, third.filter) == ("ldap_3", "sAMAccountName", "(objectClass=person)")
    assert loaded.sources == ("database", "ldap", "ldap_3")


@pytest.mark.parametrize(
    "text",
    [
        "(objectClass=*)",
        "(&(objectClass=user)(!(userAccountControl:1.2.840.113556.1.4.803:=2))(|(mail=*@example.com)(cn=\\28x\\29)))",
        "(memberOf:1.2.840.113556.1.4.1941:=cn=devs,ou=groups,dc=example,dc=com)",
        "(&(cn>=a)(cn<=z)(sn~=Ü*ö))",
    ],
)
def test_filters_of_rfc_4515_are_taken_as_they_are(text: str) -> None:
    assert directories.search_filter(text) == text


def test_the_pages_on_the_configuration_are_current() -> None:
    """`manage.py configdocs` writes them anew."""
    assert configdocs.out_of_date() == []


def test_the_code_passes_the_system_checks() -> None:
    call_command("check", fail_level="WARNING")


def test_a_job_that_nobody_wrote_and_a_bad_schedule_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "KINDS", {"LOST": Kind("registry.jobs.no_such_function")})
    monkeypatch.setattr(checks, "SYSTEM_SCHEDULES", {"LOST": "61 * *", "STRANGE": "0 0 * * * *"})
    found = [(message.id, message.obj) for message in checks.check_jobs(None)]
    assert found == [("harborsite.E001", "LOST"), ("harborsite.E002", "LOST"), ("harborsite.E002", "STRANGE")]
