"""Rows for tests, made by plain functions with keyword overrides."""

from __future__ import annotations

from typing import Any

from projects.models import Member, Project, Quota, User
from projects.permissions import Role

PASSWORD = "Secret12345"


def make_user(username: str, **overrides: Any) -> User:
    fields = {"email": f"{username}@example.com", "realname": username.title(), **overrides}
    user = User(username=username, **fields)
    user.set_password(PASSWORD)
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
