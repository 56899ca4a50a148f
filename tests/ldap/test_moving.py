"""`manage.py users move`: an account changes its source, and stays who it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from audit.models import AuditLog
from projects.identity import signin
from projects.models import Member, Project, User
from projects.permissions import Role
from tests import slapd as server
from tests.factories import PASSWORD as OF_DATABASE
from tests.factories import add, make_user
from tests.ldap.conftest import Configure, enter, give, known_group


@pytest.fixture(autouse=True)
def _prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harborsite.management.commands.users.check_prepared", lambda config: None)


def move(capsys: pytest.CaptureFixture[str], name: str, source: str) -> dict[str, Any]:
    capsys.readouterr()
    call_command("users", "move", name, source, "--json")
    signin.forget()
    return dict(json.loads(capsys.readouterr().out))


def test_an_account_of_the_database_goes_to_the_directory_and_back(
    nested: Configure, library: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    lena = make_user("lena", email="old@example.com")
    add(library, lena, Role.MAINTAINER)
    give(library, known_group(server.STAFF, "staff"), Role.GUEST)
    session = Client()
    session.force_login(lena)
    assert session.get("/api/v2.0/users/current").status_code == 200

    moved = move(capsys, "lena", "ldap")
    assert (moved["user_id"], moved["source"], moved["email"]) == (lena.pk, "ldap", "lena@example.com")
    assert session.get("/api/v2.0/users/current").status_code == 401, "sessions end"
    assert enter("lena", OF_DATABASE) is None
    assert enter("lena") == lena
    assert enter("lena").roles_in(library) == {Role.MAINTAINER, Role.GUEST}
    assert AuditLog.objects.filter(resource="lena", username="system").exists()

    assert move(capsys, "lena", "database")["source"] == "database"
    assert enter("lena") is None
    assert enter("lena", OF_DATABASE) is None, "no password works until one is set"
    call_command("users", "set-password", "lena", "--password", OF_DATABASE)
    back = enter("lena", OF_DATABASE)
    assert back == lena
    assert back.roles_in(library) == {Role.MAINTAINER}, "what a group of the directory gave has ended"
    assert Member.objects.filter(user=lena, role=Role.MAINTAINER).count() == 1


@pytest.mark.parametrize(
    ("name", "source", "reason"),
    [
        ("nobody", "ldap", "there is no user 'nobody'"),
        ("carla", "ldap", "ldap has nobody named carla"),
        ("gone", "ldap", "ldap has nobody named gone"),  # the filter for users leaves that person out
        ("Lena", "ldap", "ldap has nobody named Lena"),  # the directory says lena
        ("carla", "ldap_7", "there is no source of users named ldap_7"),
        ("carla", "database", "'carla' is of database already"),
        ("admin", "ldap", "the built-in administrator stays in the database"),
    ],
)
def test_what_cannot_be_moved_is_refused_and_stays(directory: Configure, name: str, source: str, reason: str) -> None:
    directory(filter="(employeeType=active)")
    for each in ("carla", "gone", "Lena"):
        make_user(each)
    with pytest.raises(CommandError, match=reason):
        call_command("users", "move", name, source)
    assert not User.objects.exclude(source="database").exists()
    assert all(user.has_usable_password() for user in User.objects.all())
