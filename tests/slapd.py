"""OpenLDAP's server with two trees: one as OpenLDAP has them, one in the shape of Active Directory.

`dc=example,dc=com` has people by `uid`, groups nested three deep, and the memberOf overlay; `dc=corp,dc=test` has
`sAMAccountName`, `CN=…` names, and gives out more than 1000 entries page by page alone.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ldap
from ldap.modlist import addModlist

from harborsite import config as boot
from harborsite.setup import certificates
from tests.services import LOOPBACK, ServerProcess, _daemon, free_port, running, workspace

BASE, AD = "dc=example,dc=com", "dc=corp,dc=test"
SEARCH_DN, SEARCH_PASSWORD = f"cn=search,{BASE}", "may-search"
AD_SEARCH_DN = f"cn=search,{AD}"
PASSWORD = "Directory-Passw0rd"
OTHER_ADDRESS = "127.0.0.2"  # loopback, too, and in no certificate
CROWD = 1100  # accounts of the AD-shaped tree beside those named below

_CONFIG = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
attributetype ( 1.2.840.113556.1.4.221 NAME 'sAMAccountName' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
objectclass ( 1.2.840.113556.1.5.9 NAME 'user' SUP inetOrgPerson STRUCTURAL MAY ( sAMAccountName ) )
objectclass ( 1.2.840.113556.1.5.8 NAME 'group' SUP top STRUCTURAL MUST cn MAY ( member $ sAMAccountName ) )
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
pidfile {directory}/pid
TLSCACertificateFile {tls.ca}
TLSCertificateFile {tls.certificate}
TLSCertificateKeyFile {tls.key}
sizelimit size.soft=1000 size.hard=1000 size.pr=1000 size.prtotal=unlimited
"""
_DATABASE = """
database mdb
suffix "{base}"
rootdn "cn=root,{base}"
rootpw root
directory {directory}
index objectClass,uid,cn,member,sAMAccountName eq
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=search,{base}" read by anonymous auth by * none
overlay memberof
memberof-group-oc {group_class}
memberof-dangling ignore
memberof-refint true
"""


def _person(dn: str, **attributes: str | list[str]) -> tuple[str, dict[str, list[str]]]:
    fields = {"objectClass": ["inetOrgPerson"], "sn": ["x"], "userPassword": [PASSWORD]}
    return dn, fields | {name: [value] if isinstance(value, str) else value for name, value in attributes.items()}


def _group(dn: str, *members: str, kind: str = "groupOfNames") -> tuple[str, dict[str, list[str]]]:
    return dn, {"objectClass": [kind], "cn": [dn.partition(",")[0].partition("=")[2]], "member": list(members)}


def _search_account(base: str) -> tuple[str, dict[str, list[str]]]:
    kinds = ["organizationalRole", "simpleSecurityObject"]
    return f"cn=search,{base}", {"objectClass": kinds, "cn": ["search"], "userPassword": [SEARCH_PASSWORD]}


PEOPLE, GROUPS = f"ou=people,{BASE}", f"ou=groups,{BASE}"
LENA, TOM, WEI = f"uid=lena,{PEOPLE}", f"uid=tom,{PEOPLE}", f"uid=wei,{PEOPLE}"
DEVELOPERS, STAFF, EVERYONE = f"cn=developers,{GROUPS}", f"cn=staff,{GROUPS}", f"cn=everyone,{GROUPS}"
ADMINS, ODD_GROUP = f"cn=admins,{GROUPS}", f"cn=R\\2c D (\\2a) 100%,{GROUPS}"
ODD = f"uid=a\\2cb\\2bc (\\2a),{PEOPLE}"

_TREE: list[tuple[str, dict[str, list[str]]]] = [
    (BASE, {"objectClass": ["dcObject", "organization"], "dc": ["example"], "o": ["Example"]}),
    (PEOPLE, {"objectClass": ["organizationalUnit"], "ou": ["people"]}),
    (GROUPS, {"objectClass": ["organizationalUnit"], "ou": ["groups"]}),
    _search_account(BASE),
    _person(LENA, uid="lena", cn="Lena Fischer", mail="lena@example.com", employeeType="active"),
    _person(TOM, uid="tom", cn="Tom Sawyer", mail="tom@example.com", employeeType="active"),
    _person(WEI, uid="wei", cn="王伟", mail="wei@example.com", employeeType="active"),
    _person(f"uid=gone,{PEOPLE}", uid="gone", cn="Gone Girl", employeeType="left"),
    _person(f"uid=admin,{PEOPLE}", uid="admin", cn="Not the administrator", employeeType="active"),
    _person(f"uid=bob,{PEOPLE}", uid="bob", cn="Another Bob", mail="bob@directory.example", employeeType="active"),
    _person(ODD, uid="a,b+c (*)", cn="Odd One", employeeType="active"),
    _person(f"uid=twin,{PEOPLE}", uid="twin", cn="One Twin"),
    _person(f"cn=Other Twin,{PEOPLE}", uid="twin", cn="Other Twin"),
    (f"uid=blank,{PEOPLE}", {"objectClass": ["inetOrgPerson"], "uid": ["blank"], "cn": ["No Password"], "sn": ["x"]}),
    (
        f"uid=away,{PEOPLE}",
        {"objectClass": ["referral", "extensibleObject"], "uid": ["away"], "ref": ["ldap://127.0.0.3:1/uid=away"]},
    ),
]
_TREE_GROUPS = [
    _group(DEVELOPERS, LENA, TOM),
    _group(STAFF, DEVELOPERS),
    _group(EVERYONE, STAFF, WEI),
    _group(ADMINS, WEI),
    _group(ODD_GROUP, ODD, LENA),
]

AD_PEOPLE, AD_GROUPS = f"CN=Users,{AD}", f"OU=Groups,{AD}"
ANNA = f"CN=Schmidt\\2c Anna,{AD_PEOPLE}"
AD_DEVELOPERS, AD_ADMINS = f"CN=Developers,{AD_GROUPS}", f"CN=Registry Admins,{AD_GROUPS}"


def _account(dn: str, name: str, **attributes: str) -> tuple[str, dict[str, list[str]]]:
    cn = dn.partition(",CN=Users")[0].removeprefix("CN=").replace("\\2c", ",")
    return _person(dn, cn=cn, sAMAccountName=name, objectClass=["user"], **attributes)


_AD_TREE: list[tuple[str, dict[str, list[str]]]] = [
    (AD, {"objectClass": ["dcObject", "organization"], "dc": ["corp"], "o": ["Corp"]}),
    (AD_PEOPLE, {"objectClass": ["organizationalRole"], "cn": ["Users"]}),
    (AD_GROUPS, {"objectClass": ["organizationalUnit"], "ou": ["Groups"]}),
    _search_account(AD),
    _account(ANNA, "anna", mail="anna@corp.test"),
    _account(f"CN=Tom,{AD_PEOPLE}", "tom", mail="tom@corp.test"),
    *(_account(f"CN=Crowd {number},{AD_PEOPLE}", f"crowd{number}") for number in range(CROWD)),
]
_AD_TREE_GROUPS = [
    _group(AD_DEVELOPERS, ANNA, kind="group"),
    _group(AD_ADMINS, AD_DEVELOPERS, kind="group"),
]


@dataclass(frozen=True)
class Slapd:
    """A running server, and what a test needs of it."""

    port: int
    tls_port: int
    tls: certificates.Files
    process: ServerProcess

    @property
    def url(self) -> str:
        return f"ldap://{LOOPBACK}:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"ldaps://{LOOPBACK}:{self.tls_port}"

    @property
    def ca(self) -> str:
        return self.tls.ca.read_text()

    def as_root(self, base: str = BASE) -> Any:
        connection = ldap.initialize(self.url)
        connection.simple_bind_s(f"cn=root,{base}", "root")
        return connection

    def change(self, dn: str, **attributes: list[str]) -> None:
        """Replace attributes of an entry."""
        base = AD if dn.endswith(AD) else BASE
        changes = [(ldap.MOD_REPLACE, name, [v.encode() for v in values]) for name, values in attributes.items()]
        connection = self.as_root(base)
        connection.modify_s(dn, changes)
        connection.unbind_s()

    def add(self, dn: str, **attributes: str) -> None:
        connection = self.as_root()
        connection.add_s(*_as_bytes(_person(dn, **attributes)))
        connection.unbind_s()

    def remove(self, dn: str) -> None:
        connection = self.as_root()
        connection.delete_s(dn)
        connection.unbind_s()

    def operations(self) -> list[str]:
        """Every operation so far, as the server's log has it: `BIND`, `SRCH`, `EXT`, `CMP`."""
        return re.findall(r"conn=\d+ op=\d+ (BIND|SRCH|EXT|CMP)(?= (?:dn=.* method=|base=|oid=))", self.log)

    @property
    def log(self) -> str:
        return self.process.log.read_text(errors="replace")

    def filters(self) -> list[str]:
        """The filter of every search so far."""
        return re.findall(r'SRCH base=.* filter="(.*)"', self.log)


def _as_bytes(entry: tuple[str, dict[str, list[str]]]) -> tuple[str, list[Any]]:
    dn, attributes = entry
    return dn, addModlist({name: [value.encode() for value in values] for name, values in attributes.items()})


def _ldif(tree: list[tuple[str, dict[str, list[str]]]]) -> str:
    import base64

    def line(name: str, value: str) -> str:
        return f"{name}:: {base64.b64encode(value.encode()).decode()}\n"

    return "\n".join(
        line("dn", dn) + "".join(line(name, value) for name, values in attributes.items() for value in values)
        for dn, attributes in tree
    )


def make_certificate(directory: Path) -> certificates.Files:
    """A CA of its own, and its certificate for this machine."""
    directory.mkdir()
    file = directory / "harbor.cfg"
    file.write_text("hostname = localhost\ndata_volume = .\n")
    return certificates.make(config=boot.load(file, {}), days=30)[0]


@contextmanager
def slapd() -> Iterator[Slapd]:
    with workspace("slapd") as directory:
        tls = make_certificate(directory / "tls")
        config = directory / "slapd.conf"
        text = _CONFIG.format(directory=directory, tls=tls)
        for base, tree, group_class in ((BASE, _TREE, "groupOfNames"), (AD, _AD_TREE, "group")):
            data = directory / base.partition(",")[0]
            data.mkdir()
            text += _DATABASE.format(base=base, directory=data, group_class=group_class)
            (data / "tree.ldif").write_text(_ldif(tree))
        config.write_text(text)
        for base in (BASE, AD):
            ldif = directory / base.partition(",")[0] / "tree.ldif"
            argv = [_daemon("slapadd"), "-f", str(config), "-b", base, "-q", "-l", str(ldif)]
            done = subprocess.run(argv, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        port, tls_port = free_port(), free_port()
        addresses = f"ldap://{LOOPBACK}:{port} ldaps://{LOOPBACK}:{tls_port} ldaps://{OTHER_ADDRESS}:{tls_port}"
        argv = [_daemon("slapd"), "-f", str(config), "-h", addresses, "-d", "stats"]
        with running(ServerProcess("slapd", argv, directory=directory)) as process:
            server = Slapd(port, tls_port, tls, process)
            process.wait_until(lambda: _answers(server))
            for base, groups in ((BASE, _TREE_GROUPS), (AD, _AD_TREE_GROUPS)):
                connection = server.as_root(base)
                for entry in groups:
                    connection.add_s(*_as_bytes(entry))
                connection.unbind_s()
            yield server


def _answers(server: Slapd) -> bool:
    try:
        server.as_root().unbind_s()
    except ldap.SERVER_DOWN:
        return False
    return True
