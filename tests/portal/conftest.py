"""A project with one person in each role, clients that are signed in to the portal, and a browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest
from django.test import Client
from playwright.sync_api import Browser, sync_playwright

from projects.models import Project, User
from projects.permissions import Role
from registry.models import Repository
from tests.factories import add, make_user
from tests.portal.sample import make_artifact, make_index, make_registry, make_repository

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
def boss(admin: User, signed_in: SignedIn) -> Client:
    """The administrator's browser."""
    return signed_in(admin)


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
def crowd(db: None) -> dict[str, User | None]:
    """The registry of the pictures, with one person in each role of `web-shop`."""
    found: dict[str, User | None] = {"admin": make_registry(), "stranger": make_user("stranger"), "nobody": None}
    shop = Project.objects.get(name="web-shop")
    for role in Role:
        name = role.name.lower().replace("_", " ")
        person = found[name] = make_user(name.replace(" ", "-"))
        add(shop, person, role)
    return found


@pytest.fixture
def shelf(library: Project) -> Repository:
    """A repository of `library` with a tagged image and an index."""
    repository = make_repository(library, "shelf")
    make_artifact(repository, "1.0", "latest")
    make_index(repository, "multi")
    return repository


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; playwright keeps an event loop in this thread, which Django would take for asynchronous code."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield chromium
        chromium.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
