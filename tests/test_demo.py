"""What `seed_demo` makes: as real as what clients push, so that pages, pulls and garbage collection work on it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from audit.models import AuditLog
from harborsite.setup import SetupError, demo
from projects.models import Member, Project, Quota, Robot, User
from projects.services import quotas
from registry.models import Artifact, ArtifactChild, Blob, BlobLink, Repository, Tag
from registry.oci.media_types import OCI_INDEX, OCI_MANIFEST
from registry.services import gc
from tests.factories import bearer_client, client_for, token_for
from tests.registry.conftest import blob_store  # noqa: F401 - a store of its own: bytes of other tests are garbage here

PASSWORD = "Secret12345"


@pytest.fixture
def seeded(admin: User) -> list[str]:
    """Two projects with three repositories of eleven artifacts each, and the lines that were reported."""
    lines: list[str] = []
    demo.seed(size=demo.Size.parse("2x3x11"), prefix="demo", password=PASSWORD, report=lines.append)
    return lines


def test_it_makes_as_much_as_its_size_says(seeded: list[str]) -> None:
    assert [Project.objects.count(), Repository.objects.count(), Artifact.objects.count()] == [2, 6, 66]
    assert AuditLog.objects.count() == 330
    assert Tag.objects.count() == 66 + 6
    assert ArtifactChild.objects.count() == 6 * 2
    assert Robot.objects.count() == 4
    assert Member.objects.filter(user__in=User.objects.all()).count() == 20
    assert Blob.objects.count() < BlobLink.objects.count(), "blobs are shared"
    assert seeded[-1] == "330 of 330 audit log rows"


def test_every_kind_of_image_can_be_pulled_with_its_blobs(seeded: list[str], admin: User) -> None:
    name = Repository.objects.order_by("pk")[0].name
    client = bearer_client(token_for(admin, f"repository:{name}:pull"))
    index = client.get(f"/v2/{name}/manifests/v1.9.0", headers={"Accept": OCI_INDEX})
    assert index.status_code == 200, index.content
    for child in index.json()["manifests"]:
        image = client.get(f"/v2/{name}/manifests/{child['digest']}", headers={"Accept": OCI_MANIFEST})
        assert image.status_code == 200
        for blob in [image.json()["config"], *image.json()["layers"]]:
            answer = client.get(f"/v2/{name}/blobs/{blob['digest']}")
            content = b"".join(answer) if answer.streaming else answer.content
            assert len(content) == blob["size"]


def test_quotas_and_garbage_collection_agree_with_it(seeded: list[str]) -> None:
    for quota in Quota.objects.select_related("project"):
        said = quota.used
        quotas.recount(quota.project)
        quota.refresh_from_db()
        assert quota.used == said > 0
    assert gc.run(dry_run=True, grace=timedelta(0)).blobs == 0


def test_its_people_sign_in_with_the_password_that_was_given(seeded: list[str]) -> None:
    user = User.objects.get(username="demo-user-0001")
    assert client_for(user).get("/api/v2.0/users/current").status_code == 200


def test_without_a_password_nobody_can_sign_in(admin: User) -> None:
    demo.seed(size=demo.Size.parse("1x1x1"), prefix="demo", password=None, report=lambda line: None)
    assert not User.objects.get(username="demo-user-0001").has_usable_password()
    assert Client().get("/api/v2.0/projects").json() != []


def test_a_registry_with_content_is_left_alone_unless_told(seeded: list[str]) -> None:
    with pytest.raises(SetupError, match="--add"):
        demo.check_empty(add=False, prefix="other")
    demo.check_empty(add=True, prefix="other")
    with pytest.raises(SetupError, match="choose another --prefix"):
        demo.check_empty(add=True, prefix="demo")


@pytest.mark.parametrize("text", ["", "huge", "1x2", "0x1x1", "1x1x1x1", "-1x1x1"])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SetupError, match="--size"):
        demo.Size.parse(text)
