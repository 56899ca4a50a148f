"""Tags and repositories by name: listing them in order, making a tag, taking one away."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from audit import services as audit
from audit.events import Operation, ResourceType
from harborsite.db.prepared import Prepared, prepared
from harborsite.db.retry import retried
from harborsite.principal import Principal
from registry import signals
from registry.errors import RepositoryNotFound, TagExists, TagInvalid
from registry.models import Artifact, Repository, Tag
from registry.oci import grammar
from registry.policies import immutability


def names(*, repository_name: str, last: str, limit: int | None) -> tuple[Sequence[str], bool]:
    """The names after `last` in byte order, `limit` at most, and whether there are more."""
    found = _repositories(repository_name)
    if not found:
        raise RepositoryNotFound(f"repository {repository_name} not found")
    return _cut(_names_after(limit)(found[0][0], last), limit)


@prepared
def _repositories(name: str) -> QuerySet[Repository, tuple[int]]:
    return Repository.objects.order_by().filter(name=name).values_list("pk")


@lru_cache(maxsize=32)
def _names_after(limit: int | None) -> Prepared:
    """One query for each limit that clients like, as a limit is part of the SQL; one more row than asked for."""

    @prepared
    def page(repository: int, last: str) -> QuerySet[Tag, tuple[str]]:
        rows = Tag.objects.filter(repository=repository, name__gt=last).order_by("name").values_list("name")
        return rows if limit is None else rows[: limit + 1]

    return page


def catalog(*, last: str, limit: int | None) -> tuple[Sequence[str], bool]:
    """Repositories that hold something, in byte order."""
    return _cut(_repositories_after(limit)(last), limit)


@lru_cache(maxsize=32)
def _repositories_after(limit: int | None) -> Prepared:
    @prepared
    def page(last: str) -> QuerySet[Repository, tuple[str]]:
        rows = Repository.objects.filter(Exists(Artifact.objects.filter(repository=OuterRef("pk"))), name__gt=last)
        names = rows.order_by("name").values_list("name")
        return names if limit is None else names[: limit + 1]

    return page


def _cut(rows: Sequence[tuple[str]], limit: int | None) -> tuple[Sequence[str], bool]:
    """The names of a page that was asked for with one row more, and whether there are more."""
    names = [name for (name,) in rows]
    return (names, False) if limit is None else (names[:limit], len(names) > limit)


@retried
def create(*, artifact: Artifact, name: str, actor: Principal | str) -> Tag:
    """Give an artifact one more name; a name that the repository has already stays where it is."""
    if not grammar.is_tag(name):
        raise TagInvalid(f"invalid tag name: {name}")
    repository = artifact.repository
    with transaction.atomic():
        if Tag.objects.filter(repository=repository, name=name).exists():
            raise TagExists(f"tag {name} already exists under the repository {repository.pk}")
        tag = Tag.objects.create(repository=repository, artifact=artifact, name=name, push_time=timezone.now())
        _record(tag, repository, Operation.CREATE, artifact.digest, actor)
        signals.announce(signals.tag_created, Tag, repository=repository.name, digest=artifact.digest, tag=name)
    return tag


@retried
def delete(*, tag: Tag, actor: Principal | str) -> None:
    """Take the name away; the artifact stays, by digest."""
    repository, digest = tag.repository, tag.artifact.digest
    with transaction.atomic():
        immutability.check_delete(repository=repository, tags=[tag.name])
        gone, _ = Tag.objects.filter(pk=tag.pk).delete()
        if not gone:
            return
        _record(tag, repository, Operation.DELETE, digest, actor)
        signals.announce(signals.tag_deleted, Tag, repository=repository.name, digest=digest, tag=tag.name)


def _record(tag: Tag, repository: Repository, operation: Operation, digest: str, actor: Principal | str) -> None:
    audit.record(
        actor=actor,
        operation=operation,
        resource_type=ResourceType.TAG,
        resource=f"{repository.name}:{tag.name}",
        project_id=repository.project_id,
        data={"digest": digest},
    )
