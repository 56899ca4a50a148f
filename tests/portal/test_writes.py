"""Changing what is in the registry from the portal: by role, after a confirmation, with an audit row."""

from __future__ import annotations

import pytest

from audit.models import AuditLog
from projects.models import Project, User
from registry.models import Artifact, Repository, Tag
from tests.portal.conftest import SignedIn
from tests.portal.sample import make_repository

People = dict[str, User | None]
SHELF = "/projects/library/repositories/shelf"


def artifact_of(shelf: Repository, tag: str) -> Artifact:
    return Tag.objects.get(repository=shelf, name=tag).artifact


@pytest.mark.parametrize(
    ("who", "may_tag", "may_describe", "may_delete"),
    [
        ("admin", True, True, True),
        ("project admin", True, True, True),
        ("maintainer", True, True, True),
        ("developer", True, True, False),
        ("guest", False, False, False),
        ("limited guest", False, False, False),
        ("stranger", False, False, False),
        ("nobody", False, False, False),
    ],
)
def test_each_role_changes_what_its_rights_allow_and_is_shown_no_more(
    who: str,
    may_tag: bool,
    may_describe: bool,
    may_delete: bool,
    people: People,
    shelf: Repository,
    signed_in: SignedIn,
) -> None:
    client = signed_in(people[who])
    image = artifact_of(shelf, "1.0")
    page = client.get(f"{SHELF}@{image.digest}/").content.decode()
    assert (f"@{image.digest}/tag/" in page) == may_tag
    assert ("Remove tags" in page) == may_delete
    listed = client.get(f"{SHELF}/").content.decode()
    assert ("/-/description/" in listed) == may_describe
    assert ('value="delete_chosen"' in listed) == may_delete

    client.post(f"{SHELF}@{image.digest}/tag/", {"name": "2.0"})
    assert Tag.objects.filter(repository=shelf, name="2.0").exists() == may_tag
    client.post(f"{SHELF}/-/description/", {"description": "Ours"})
    shelf.refresh_from_db()
    assert (shelf.description == "Ours") == may_describe
    client.post(f"{SHELF}@{image.digest}/untag/", {"_selected_action": ["1.0"], "confirmed": "yes"})
    assert Tag.objects.filter(repository=shelf, name="1.0").exists() != may_delete
    client.post(f"{SHELF}/", {"action": "delete_chosen", "_selected_action": [image.pk], "confirmed": "yes"})
    assert Artifact.objects.filter(pk=image.pk).exists() != may_delete
    repositories = "/projects/library/repositories/"
    client.post(repositories, {"action": "delete_chosen", "_selected_action": [shelf.pk], "confirmed": "yes"})
    assert Repository.objects.filter(pk=shelf.pk).exists() != may_delete


def test_nothing_is_deleted_before_it_was_confirmed(alice: User, shelf: Repository, signed_in: SignedIn) -> None:
    client = signed_in(alice)
    image = artifact_of(shelf, "1.0")
    asked = client.post(f"{SHELF}/", {"action": "delete_chosen", "_selected_action": [image.pk], "index": "0"})
    assert image.digest in asked.content.decode()
    asked = client.post(f"{SHELF}@{image.digest}/untag/", {"_selected_action": ["1.0"]})
    assert "Remove tags?" in asked.content.decode()
    client.post(
        "/projects/library/repositories/", {"action": "delete_chosen", "_selected_action": [shelf.pk], "index": "0"}
    )
    image.refresh_from_db()
    assert image.tags.count() == 2


def test_a_part_of_an_index_is_kept_and_the_reason_given(alice: User, shelf: Repository, signed_in: SignedIn) -> None:
    client = signed_in(alice)
    child = Artifact.objects.filter(repository=shelf, tags=None).first()
    assert child
    Tag.objects.create(repository=shelf, artifact=child, name="part", push_time=child.push_time)
    answer = client.post(
        f"{SHELF}/", {"action": "delete_chosen", "_selected_action": [child.pk], "confirmed": "yes"}, follow=True
    )
    assert "An index still lists it" in answer.content.decode()


@pytest.mark.parametrize("name", ["latest", "", "-x", "a b", "x" * 129, "é"])
def test_a_tag_that_is_taken_or_no_tag_is_refused(
    name: str, alice: User, shelf: Repository, signed_in: SignedIn
) -> None:
    image = artifact_of(shelf, "1.0")
    answer = signed_in(alice).post(f"{SHELF}@{image.digest}/tag/", {"name": name})
    assert answer.status_code == 200
    assert 'class="field-error"' in answer.content.decode()
    assert image.tags.count() == 2


def test_rows_of_another_repository_are_out_of_reach(
    alice: User, shelf: Repository, library: Project, signed_in: SignedIn
) -> None:
    other = make_repository(library, "other")
    image = artifact_of(shelf, "1.0")
    signed_in(alice).post(
        f"/projects/library/repositories/{other.short_name}/",
        {"action": "delete_chosen", "_selected_action": [image.pk], "confirmed": "yes"},
    )
    assert Artifact.objects.filter(pk=image.pk).exists()


def test_what_was_changed_is_in_the_audit_log_under_the_right_name(
    alice: User, shelf: Repository, signed_in: SignedIn
) -> None:
    client = signed_in(alice)
    image = artifact_of(shelf, "1.0")
    client.post(f"{SHELF}@{image.digest}/tag/", {"name": "2.0"})
    client.post(f"{SHELF}/-/description/", {"description": "Ours"})
    client.post(f"{SHELF}@{image.digest}/untag/", {"_selected_action": ["1.0"], "confirmed": "yes"})
    rows = AuditLog.objects.filter(username="alice").values_list("operation", "resource_type", "resource")
    assert set(rows) >= {
        ("create", "tag", "library/shelf:2.0"),
        ("update", "repository", "library/shelf"),
        ("delete", "tag", "library/shelf:1.0"),
    }
