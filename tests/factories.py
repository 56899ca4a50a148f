"""Rows and clients for tests, made by plain functions with keyword overrides."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, TypeAlias

from django.contrib.auth.hashers import make_password
from django.test import Client

from projects.models import Member, Project, Quota, Robot, User
from projects.permissions import Role
from tests import images

PASSWORD = "Secret12345"
ClientFor: TypeAlias = Callable[[User | Robot | None], Client]


def make_user(username: str, *, password: str = PASSWORD, **overrides: Any) -> User:
    fields = {"email": f"{username}@example.com", "realname": username.title(), **overrides}
    user = User(username=username, **fields)
    user.set_password(password)
    user.save()
    return user


def make_project(name: str, owner: User, *, public: bool = False, quota: int = -1) -> Project:
    """A project as the service makes it: with its quota, and its owner as administrator."""
    project = Project.objects.create(name=name, owner=owner, public=public)
    Quota.objects.create(project=project, hard=quota)
    add(project, owner, Role.PROJECT_ADMIN)
    return project


def add(project: Project, user: User, role: Role) -> Member:
    member = Member.objects.create(project=project, user=user, role=role)
    user.refresh_rights()
    return member


def grant(namespace: str, *actions: str, kind: str = "project") -> dict[str, Any]:
    """One entry of a robot account's permissions, from `resource:verb` strings."""
    pairs = (action.split(":") for action in actions)
    access = [{"resource": resource, "action": verb} for resource, verb in pairs]
    return {"kind": kind, "namespace": namespace, "access": access}


def make_robot(name: str, *grants: dict[str, Any], project: Project | None = None, **overrides: Any) -> Robot:
    """A robot account, of `project` if one is given, else of the system. Its secret is PASSWORD."""
    level = Robot.Level.PROJECT if project else Robot.Level.SYSTEM
    fields: dict[str, Any] = {"secret": make_password(PASSWORD), "permissions": list(grants), **overrides}
    full_name = f"{project.name}+{name}" if project else name
    return Robot.objects.create(name=full_name, level=level, project=project, **fields)


def basic(username: str, password: str = PASSWORD) -> str:
    """The Authorization header of basic credentials."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def client_for(who: User | Robot | None) -> Client:
    return Client(headers={"Authorization": basic(who.username)}) if who else Client()


def bearer_client(token: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {token}"})


def token_for(who: User | Robot | None, *scopes: str) -> str:
    """A token from the token service."""
    answer = client_for(who).get("/service/token", {"service": "harbor-registry", "scope": scopes})
    assert answer.status_code == 200, answer.content
    return str(answer.json()["token"])


def push(client: Client, name: str, manifest: images.Manifest) -> Any:
    """Push an image to `repository:tag` by the registry's routes; returns the last answer, or the first refusal."""
    repository, _, tag = name.rpartition(":")
    for blob in manifest.blobs:
        address = f"/v2/{repository}/blobs/uploads/?digest={blob.digest}"
        answer = client.post(address, blob.data, content_type="application/octet-stream")
        if answer.status_code != 201:
            return answer
    return client.put(f"/v2/{repository}/manifests/{tag}", manifest.data, content_type=manifest.media_type)


def error_code(answer: Any) -> str:
    """The code in the error envelope of an answer."""
    return str(json.loads(answer.content)["errors"][0]["code"])
