"""What every test may ask for: named people with their projects, and clients for them.

Models are imported inside the fixtures: this file is read before Django is set up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_django import Settings

    from projects.models import Project, User
    from tests.factories import ClientFor


@pytest.fixture(scope="session")
def django_db_modify_db_settings(request: pytest.FixtureRequest) -> None:
    """A database for each parallel worker: SQLite's is in its memory anyway, and a path takes no suffix."""
    from django.db import connection

    if connection.vendor != "sqlite":
        request.getfixturevalue("django_db_modify_db_settings_parallel_suffix")


@pytest.fixture(scope="session", autouse=True)
def _keys() -> None:
    """The token key with its certificate and the sealing key, as `prepare` makes them."""
    from harborsite import config, sealing
    from registry.auth.keys import ensure_keys

    ensure_keys(config.current().secret_dir, make=True)
    directory = config.current().secretkey_path
    directory.mkdir(parents=True, exist_ok=True)
    (directory / sealing.KEY_FILE).write_text("the key of these tests")


@pytest.fixture(autouse=True)
def _fast_and_clean(settings: Settings) -> Iterator[None]:
    """Passwords are hashed cheaply, and no test sees what the process remembers of another one."""
    from projects import params
    from projects.identity import lockout, signin
    from registry.auth import tokens

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}  # nothing was collected
    params.forget()
    yield
    for module in (params, signin, lockout, tokens):
        module.forget()


@pytest.fixture(autouse=True)
def _answers_are_described(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer of the REST API that a test sees is one that its document describes."""
    from django.test import Client

    from tests import described

    plain = Client.request

    def request(self: Client, **environ: Any) -> Any:
        answer = plain(self, **environ)
        described.check(answer)
        return answer

    monkeypatch.setattr(Client, "request", request)


@pytest.fixture
def admin(db: None) -> User:
    """The built-in administrator, whose password is no longer the default one."""
    from projects.models.user import ADMIN_ID
    from tests.factories import make_user

    return make_user("admin", pk=ADMIN_ID, sysadmin_flag=True)


@pytest.fixture
def alice(admin: User) -> User:
    """Owns the project `library`."""
    from tests.factories import make_user

    return make_user("alice")


@pytest.fixture
def library(alice: User) -> Project:
    """A private project of alice, which is also the project of one-part image names."""
    from tests.factories import make_project

    return make_project("library", alice)


@pytest.fixture
def commons(alice: User) -> Project:
    """A public project of alice."""
    from tests.factories import make_project

    return make_project("commons", alice, public=True)


@pytest.fixture
def bob(library: Project) -> User:
    """A guest of `library`."""
    from projects.permissions import Role
    from tests.factories import add, make_user

    user = make_user("bob")
    add(library, user, Role.GUEST)
    return user


@pytest.fixture
def carol(admin: User) -> User:
    """A stranger: an account without any membership."""
    from tests.factories import make_user

    return make_user("carol")


@pytest.fixture
def client_for() -> ClientFor:
    """Makes a client that sends the basic credentials of a user or robot account; of nobody for None."""
    from tests.factories import client_for

    return client_for
