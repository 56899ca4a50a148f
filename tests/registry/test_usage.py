"""Bytes on whose account: what goes with an artifact, a repository or a project, and what stays."""

from __future__ import annotations

import pytest
from django.test import Client

from projects.models import Project
from registry.models import Artifact, Repository
from registry.services import usage
from registry.services.usage import Footprint, Usage
from tests.factories import client_for
from tests.images import Manifest, artifact, image, index, index_of
from tests.registry import wire


def size(*manifests: Manifest) -> int:
    """Of their distinct blobs."""
    return sum({blob.digest: len(blob.data) for one in manifests for blob in one.blobs}.values())


def footprint(manifest: Manifest, repository: str = "library/app") -> Footprint:
    found = Artifact.objects.get(digest=manifest.digest, repository__name=repository)
    return usage.of_artifacts(found.repository_id, [found.pk])[found.pk]


def test_nothing_is_stored_at_first(library: Project) -> None:
    assert usage.of_project(library.pk) == Usage(0, 0, 0)


def test_a_project_alone_has_nothing_but_its_own(owner: Client, library: Project) -> None:
    one, two = image("one", layers=2), image("two")
    wire.push(owner, "library/app:v1", one)
    wire.push(owner, "library/web:v1", two)
    wire.push(owner, "library/web:v2", one)
    assert usage.of_project(library.pk) == Usage(unique=size(one, two))
    app, web = (Repository.objects.get(name=f"library/{name}") for name in ("app", "web"))
    assert usage.of_repository(app) == Usage(shared=size(one))
    assert usage.of_repository(web) == Usage(unique=size(two), shared=size(one))


def test_what_two_projects_hold_is_shared(owner: Client, library: Project, commons: Project) -> None:
    both, mine = image("both"), image("mine")
    wire.push(owner, "library/app:v1", both)
    wire.push(owner, "library/app:v2", mine)
    wire.push(client_for(commons.owner), "commons/app:v1", both)
    assert usage.of_project(library.pk) == Usage(unique=size(mine), shared=size(both))
    assert usage.of_project(commons.pk) == Usage(shared=size(both))


def test_what_nothing_needs_is_reclaimable(owner: Client, library: Project, commons: Project) -> None:
    gone, kept = image("gone"), image("kept")
    wire.push(owner, "library/app:v1", gone)
    wire.push(owner, "library/app:v2", kept)
    wire.put_blob(owner, "library/app", b"lonely")
    wire.push(client_for(commons.owner), "commons/app:v1", kept)
    owner.delete(f"/v2/library/app/manifests/{gone.digest}")
    owner.delete(f"/v2/library/app/manifests/{kept.digest}")
    assert usage.of_project(library.pk) == Usage(reclaimable=size(gone) + 6), "the other project needs the rest"
    assert usage.of_project(library.pk).total == size(gone) + 6
    assert usage.of_project(commons.pk) == Usage(shared=size(kept)), "still held by two, for the grace"
    assert usage.of_repository(Repository.objects.get(name="library/app")).reclaimable == size(gone) + 6


def test_an_artifact_alone_frees_what_no_other_needs(owner: Client) -> None:
    one = image("one", layers=2)
    wire.push(owner, "library/app:v1", one)
    assert footprint(one) == Footprint(exclusive=size(one))
    wire.push(owner, "library/web:v1", one)
    assert footprint(one) == Footprint(shared=size(one))


def test_an_index_goes_with_its_untagged_parts(owner: Client) -> None:
    multi = index("multi")
    wire.push(owner, "library/app:multi", multi)
    assert footprint(multi) == Footprint(exclusive=size(*multi.children))
    amd64, arm64 = multi.children
    wire.put_manifest(owner, "library/app", "amd64", amd64)
    shared = {blob.digest for blob in amd64.blobs}
    only = sum(len(blob.data) for blob in arm64.blobs if blob.digest not in shared)
    assert footprint(multi) == Footprint(exclusive=only, shared=size(arm64) - only)


def test_a_part_of_two_indexes_stays_with_the_other(owner: Client) -> None:
    part = image("part")
    first, second = index_of(part), index_of(part, image("more"))
    wire.push(owner, "library/app:first", first)
    wire.push(owner, "library/app:second", second)
    assert footprint(first) == Footprint()
    assert footprint(second) == Footprint(exclusive=size(image("more")))


def test_accessories_go_with_their_subject(owner: Client) -> None:
    subject = image("subject")
    signature = artifact(b"signature", subject=subject)
    wire.push(owner, "library/app:v1", subject)
    wire.push(owner, "library/app", signature)
    assert footprint(subject) == Footprint(exclusive=size(subject, signature))
    assert footprint(signature) == Footprint(exclusive=size(signature))


@pytest.mark.parametrize("count", [1, 30])
def test_a_page_of_artifacts_costs_a_few_queries(
    owner: Client, django_assert_max_num_queries: object, count: int
) -> None:
    for number in range(count):
        wire.push(owner, f"library/app:v{number}", image(f"number {number}"))
    keys = list(Artifact.objects.values_list("pk", flat=True))
    with django_assert_max_num_queries(8):  # type: ignore[operator]
        found = usage.of_artifacts(Repository.objects.get().pk, keys)
    assert len(found) == count
    assert all(each.exclusive > 0 for each in found.values())
