"""Prepared statements: the SQL is kept, the rows never."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db.models import Count, Model, QuerySet
from django.db.models.functions import Lower

from harborsite.db.prepared import (
    BATCH,
    MOST,
    Change,
    Insert,
    prepared,
    prepared_change,
    prepared_count,
    prepared_models,
    prepared_sum,
)
from projects.models import Member, Project, User, UserGroup
from registry.models import BlobUpload


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
    assert not _projects(alice.pk, commons.name)
    assert not _projects(alice.pk + 1, commons.name)


@pytest.mark.django_db
def test_an_argument_that_does_not_reach_the_sql_is_refused() -> None:
    with pytest.raises(TypeError):
        _careless("a")


@prepared_change
def _rename(pk: int, name: str, now: datetime) -> Change:
    return Change(Project.objects.filter(pk=pk), {"name": name, "creation_time": now})


@prepared_change
def _remove(key: UUID) -> Change:
    return Change(BlobUpload.objects.filter(pk=key), None)


@prepared
def _named(names: list[str]) -> QuerySet[Project, tuple[Any, ...]]:
    return Project.objects.filter(name__in=names).order_by("name").values_list("name")


def test_changes_count_their_rows(commons: Project) -> None:
    moment = datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=UTC)
    assert _rename(commons.pk, "square", moment) == 1
    assert _rename(0, "square", moment) == 0
    commons.refresh_from_db()
    assert (commons.name, commons.creation_time) == ("square", moment)


def test_a_new_row_has_what_the_model_says(commons: Project) -> None:
    key = uuid4()
    Insert(BlobUpload)(id=key, project_id=commons.pk, repository_name="commons/a", username="alice")
    upload = BlobUpload.objects.get()
    assert (upload.pk, upload.offset, upload.sha256) == (key, 0, "")
    assert upload.creation_time.tzinfo is UTC
    assert _remove(key) == 1
    assert not BlobUpload.objects.exists()


def test_a_new_row_tells_its_key(alice: User) -> None:
    key = Insert(Project)(name="new", owner_id=alice.pk)
    assert Project.objects.get(pk=key).name == "new"


def test_a_batch_may_be_short_but_not_empty(commons: Project, library: Project) -> None:
    assert list(_named(["commons"])) == [("commons",)]
    assert list(_named(["library", "commons", "absent"])) == [("commons",), ("library",)]
    assert list(_named(["library", *["absent"] * BATCH])) == [("library",)]
    for wrong in ([], ["x"] * (MOST + 1)):
        with pytest.raises(ValueError, match="batch"):
            _named(wrong)


@prepared_models
def _with_owner(owner: int) -> QuerySet[Project]:
    rows = Project.objects.filter(owner=owner).select_related("owner").annotate(members_held=Count("members"))
    return rows.order_by("name")


@prepared_count
def _owned(owner: int) -> QuerySet[Project]:
    return Project.objects.filter(owner=owner).select_related("owner").annotate(shown=Lower("name")).order_by("shown")


def test_objects_come_with_what_was_asked_for(
    commons: Project, library: Project, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1):
        found, _library = _with_owner(commons.owner_id)
        assert (found, found.owner.username, found.members_held) == (commons, "alice", 1)
        assert found.creation_time == commons.creation_time
    assert _with_owner(0) == []
    assert _owned(commons.owner_id) == 2
    assert _owned(0) == 0


@prepared_sum("role")
def _roles(project: int) -> QuerySet[Member]:
    return Member.objects.filter(project=project)


def test_a_sum_is_a_number_even_of_nothing(commons: Project, bob: User) -> None:
    assert _roles(0) == 0
    held = sum(Member.objects.filter(project=commons).values_list("role", flat=True))
    Member.objects.create(project=commons, user=bob, role=4)
    assert _roles(commons.pk) == held + 4


@prepared_models
def _people() -> QuerySet[User]:
    return User.objects.order_by("pk")


@prepared_models
def _memberships() -> QuerySet[Member]:
    return Member.objects.select_related("user", "group").order_by("pk")


def test_objects_are_as_the_orm_makes_them(alice: User, bob: User, commons: Project) -> None:
    """Times, flags and nothing at all have shorter converters here than Django's."""
    moment = datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=UTC)
    User.objects.filter(pk=bob.pk).update(synced_at=moment, last_login=moment.replace(microsecond=0), deleted=True)
    Member.objects.create(project=commons, user=bob, role=1)
    Member.objects.create(project=commons, group=UserGroup.objects.create(group_name="readers", group_type=2), role=3)
    for ours, theirs in (
        (_people(), User.objects.order_by("pk")),
        (_memberships(), Member.objects.select_related("user", "group").order_by("pk")),
    ):
        assert [_inside(row) for row in ours] == [_inside(row) for row in theirs]


def _inside(row: Any) -> Any:
    """All that an object knows, and how."""
    if not isinstance(row, Model):
        return type(row), row
    joined = {name: _inside(other) for name, other in row._state.fields_cache.items()}
    values = {name: _inside(value) for name, value in vars(row).items() if name != "_state"}
    return type(row), row._state.adding, row._state.db, values, joined
