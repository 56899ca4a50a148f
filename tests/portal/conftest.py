"""A project with one person in each role, and clients that are signed in to the portal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest
from django.test import Client

from projects.models import Project, User
from projects.permissions import Role
from registry.models import Repository
from tests.factories import add, make_user
from tests.portal.sample import make_artifact, make_index, make_repository

SignedIn: TypeAlias = Callable[[User | None], Client]


@pytest.fixture
def signed_in() -> SignedIn:
    """A client with a session of this person; of nobody for None."""

    def client(user: User | None) -> Client:
        browser = Client()
        if user:
            browser.force_login(user)
        return browser

    return client


@pytest.fixture
def people(library: Project, commons: Project, admin: User, alice: User, carol: User) -> dict[str, User | None]:
    """Everyone there is, by what they are in the private project `library` (alice made it) and in `commons`."""
    found: dict[str, User | None] = {"admin": admin, "project admin": alice, "stranger": carol, "nobody": None}
    for role in (Role.MAINTAINER, Role.DEVELOPER, Role.GUEST, Role.LIMITED_GUEST):
        user = make_user(role.name.lower().replace("_", "-"))
        add(library, user, role)
        add(commons, user, role)
        found[role.name.lower().replace("_", " ")] = user
    return found


@pytest.fixture
def shelf(library: Project) -> Repository:
    """A repository of `library` with a tagged image and an index."""
    repository = make_repository(library, "shelf")
    make_artifact(repository, "1.0", "latest")
    make_index(repository, "multi")
    return repository
