"""What every test may ask for; the server's configuration is tests/harbor.cfg.

Models are imported inside the fixtures: this file is read before Django is set up.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_django import Settings

    from projects.models import Project, User

os.environ.setdefault("HARBOR_CFG", str(Path(__file__).parent / "harbor.cfg"))


@pytest.fixture(autouse=True)
def _fast_and_clean(settings: Settings) -> Iterator[None]:
    """Passwords are hashed cheaply, and no test sees the settings that another one changed."""
    from projects import params

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    params.forget()
    yield
    params.forget()


@pytest.fixture
def admin(db: None) -> User:
    """The built-in administrator."""
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
    """A private project of alice."""
    from tests.factories import make_project

    return make_project("library", alice)


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
    """A stranger."""
    from tests.factories import make_user

    return make_user("carol")
