"""Changing what is in the registry from the portal: by role, after a confirmation, with an audit row."""

from __future__ import annotations

import re

import pytest

from audit.models import AuditLog
from projects.models import Project, User
from projects.services.labels import create_label
from registry.models import Artifact, ArtifactLabel, Repository, Tag
from registry.oci import media_types
from registry.policies import immutability
from registry.services.labels import add_label
from tests.factories import client_for, make_project, push
from tests.images import image
from tests.portal.conftest import SignedIn
from tests.portal.sample import make_artifact, make_repository

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


def test_an_artifact_is_copied_with_its_tags_where_one_may_push(
    people: People, library: Project, signed_in: SignedIn
) -> None:
    pushed = image("tool")
    assert push(client_for(library.owner), "library/tool:1.0", pushed).status_code == 201
    page = f"/projects/library/repositories/tool@{pushed.digest}/copy/"
    target = {"project": "library", "repository": "kept/tool"}
    assert "Copy to another repository" in signed_in(people["guest"]).get(page.removesuffix("copy/")).content.decode()
    refused = signed_in(people["guest"]).post(page, target)
    assert "Your role in this project does not allow to push." in refused.content.decode()
    assert signed_in(people["stranger"]).post(page, target).status_code == 404
    assert not Repository.objects.filter(name="library/kept/tool").exists()

    made = signed_in(people["developer"]).post(page, target)
    assert made.headers["Location"] == f"/projects/library/repositories/kept/tool@{pushed.digest}/"
    copied = Artifact.objects.get(repository__name="library/kept/tool")
    assert (copied.digest, [tag.name for tag in copied.tags.all()]) == (pushed.digest, ["1.0"])


@pytest.mark.parametrize(
    ("project", "repository", "reason"),
    [
        ("hidden", "tool", "There is no project of this name, or you may not see it."),
        ("missing", "tool", "There is no project of this name, or you may not see it."),
        ("library", "Tool", "Lower-case letters"),
        ("library", "../tool", "Lower-case letters"),
        ("library", "tool", "This is where it is already."),
    ],
)
def test_a_copy_to_a_wrong_place_is_refused_with_the_reason(
    project: str, repository: str, reason: str, people: People, library: Project, carol: User, signed_in: SignedIn
) -> None:
    make_project("hidden", carol)
    pushed = image("tool")
    assert push(client_for(library.owner), "library/tool:1.0", pushed).status_code == 201
    page = f"/projects/library/repositories/tool@{pushed.digest}/copy/"
    answer = signed_in(people["maintainer"]).post(page, {"project": project, "repository": repository})
    assert reason in answer.content.decode()
    assert Repository.objects.count() == 1


def test_a_description_in_markdown_can_do_no_harm(alice: User, shelf: Repository, signed_in: SignedIn) -> None:
    client = signed_in(alice)
    text = (
        "# Ours\n\n<script>alert(1)</script> <img src=x onerror=alert(1)> [a](javascript:alert(1)) "
        "[b](data:text/html,x) ![pixel](https://evil.example/p.png) [good](https://good.example 'say \" it')\n\n"
        "#### Deep\n\n| a | b |\n|---|---|\n| 1 | 2 |"
    )
    client.post(f"{SHELF}/-/description/", {"description": text})
    page = client.get(f"{SHELF}/").content.decode()
    shown = page[page.index('<div class="markdown">') : page.index("Edit the description")]
    assert "<h2>Ours</h2>" in shown
    assert "<h3>Deep</h3>" in shown
    assert "<td>1</td>" in shown
    assert 'href="https://good.example"' in shown
    assert 'rel="noopener noreferrer nofollow"' in shown
    for harm in ("<script", "<img", 'href="javascript', 'href="data', "evil.example"):
        assert harm not in shown


def test_artifacts_are_filtered_by_type_and_label(
    alice: User, shelf: Repository, library: Project, signed_in: SignedIn
) -> None:
    client = signed_in(alice)
    chart = make_artifact(shelf, "9.9", type=media_types.CHART)
    label = create_label(name="gold", description="", color="#0065AB", actor=alice, project=library)
    add_label(artifact=chart, label_id=label.pk, actor=alice)
    for address in (f"{SHELF}/?type=CHART", f"{SHELF}/?label={label.pk}"):
        page = client.get(address).content.decode()
        assert chart.digest in page
        assert "1–1 of 1" in page
    for address in (f"{SHELF}/?type=WASM", f"{SHELF}/?label=999", f"{SHELF}/?label=x"):
        assert "Nothing matches the filter." in client.get(address).content.decode()


IMMUTABLE = "An immutable tag can be neither moved nor deleted"


def freeze(project: Project, pattern: str, actor: User) -> None:
    immutability.create_rule(
        project=project,
        tag_selectors=[{"kind": "doublestar", "decoration": "matches", "pattern": pattern}],
        scope_selectors={"repository": [{"kind": "doublestar", "decoration": "repoMatches", "pattern": "**"}]},
        actor=actor,
    )


def test_of_several_tags_the_immutable_ones_stay_and_the_others_go(
    alice: User, shelf: Repository, library: Project, signed_in: SignedIn
) -> None:
    freeze(library, "1.*", alice)
    client, image = signed_in(alice), artifact_of(shelf, "1.0")
    page = client.get(f"{SHELF}@{image.digest}/").content.decode()
    assert re.findall(r'class="tag">([^<]+)</span> <span class="badge[^>]+>Immutable', page) == ["1.0"]
    sent = {"_selected_action": ["1.0", "latest"], "confirmed": "yes"}
    page = client.post(f"{SHELF}@{image.digest}/untag/", sent, follow=True).content.decode()
    assert f"1.0: {IMMUTABLE}" in page
    assert "1 removed." in page
    assert [tag.name for tag in image.tags.all()] == ["1.0"]


def test_of_several_artifacts_those_with_an_immutable_tag_stay_and_so_does_their_repository(
    alice: User, shelf: Repository, library: Project, signed_in: SignedIn
) -> None:
    freeze(library, "1.*", alice)
    client, kept, gone = signed_in(alice), artifact_of(shelf, "1.0"), artifact_of(shelf, "multi")
    chosen = {"action": "delete_chosen", "index": "0", "confirmed": "yes"}
    page = client.post(f"{SHELF}/", {**chosen, "_selected_action": [kept.pk, gone.pk]}, follow=True).content.decode()
    assert f"{kept.digest}: {IMMUTABLE}" in page
    assert "1 deleted." in page
    assert list(Artifact.objects.filter(pk__in=[kept.pk, gone.pk])) == [kept]
    at = "/projects/library/repositories/"
    page = client.post(at, {**chosen, "_selected_action": [shelf.pk]}, follow=True).content.decode()
    assert f"library/shelf: {IMMUTABLE}" in page
    assert Repository.objects.filter(pk=shelf.pk).exists()


@pytest.mark.parametrize("who", ["maintainer", "developer", "guest", "nobody"])
def test_several_artifacts_get_a_label_at_once_by_role(
    who: str, people: People, shelf: Repository, library: Project, commons: Project, alice: User, signed_in: SignedIn
) -> None:
    new, foreign = (
        create_label(name=name, description="", color="#0065AB", actor=alice, project=project)
        for name, project in (("reviewed", library), ("elsewhere", commons))
    )
    client, rows = signed_in(people[who]), [artifact_of(shelf, tag) for tag in ("1.0", "multi")]
    may = who in {"maintainer", "developer"}
    listed = client.get(f"{SHELF}/").content.decode()
    assert ('value="label_chosen"' in listed) == may
    assert "elsewhere" not in listed
    sent = {"action": "label_chosen", "index": "0", "label": new.pk, "_selected_action": [row.pk for row in rows]}
    told = [client.post(f"{SHELF}/", sent, follow=True).content.decode() for _ in range(2)]
    assert ArtifactLabel.objects.filter(label=new).count() == (2 if may else 0)
    if may:
        assert "2 changed." in told[0]
        assert all(f"{row.digest}: label {new.pk} is already added" in told[1] for row in rows)
        for label, reason in ((foreign.pk, f"label {foreign.pk} not found"), ("x", "Choose a label.")):
            assert reason in client.post(f"{SHELF}/", {**sent, "label": label}, follow=True).content.decode()
    assert not ArtifactLabel.objects.filter(label=foreign).exists()


def test_digest_and_pull_command_are_copied_from_the_list_and_all_its_tags_are_a_step_away(
    alice: User, shelf: Repository, signed_in: SignedIn
) -> None:
    image = make_artifact(shelf, *(f"v{number}" for number in range(5)))
    page = signed_in(alice).get(f"{SHELF}/").content.decode()
    for line in (image.digest, f"docker pull testserver/library/shelf@{image.digest}"):
        assert f'data-copy="{line}"' in page
    assert f'href="{SHELF}@{image.digest}/#tags" aria-label="2 more tags">+2</a>' in page
