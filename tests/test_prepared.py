"""Prepared queries: the SQL is kept, the rows never."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db.models import QuerySet

from harborsite.db.prepared import prepared
from projects.models import Project, User


@prepared
def _projects(owner: int, name: str) -> QuerySet[Project, tuple[Any, ...]]:
    rows = Project.objects.filter(name=name, owner=owner, public=True).order_by("pk")
    return rows.values_list("name", "public", "creation_time")


@prepared
def _careless(name: str) -> QuerySet[Project, tuple[Any, ...]]:
    return Project.objects.filter(name__in=["a", "b"] if name else []).values_list("pk")


def test_rows_are_fresh_and_typed_as_the_models_are(alice: User, commons: Project) -> None:
    name, public, created = _projects(alice.pk, commons.name)[0]
    assert (name, public) == (commons.name, True)
    assert isinstance(created, datetime)
    assert created.tzinfo is UTC
    Project.objects.update(public=False)
    assert _projects(alice.pk, commons.name) == []
    assert _projects(alice.pk + 1, commons.name) == []


@pytest.mark.django_db
def test_an_argument_that_does_not_reach_the_sql_is_refused() -> None:
    with pytest.raises(TypeError):
        _careless("a")
