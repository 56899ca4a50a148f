"""The event log, first steps, labels on artifacts and what an artifact holds beside its layers."""

from __future__ import annotations

import re

import pytest

from harborsite.jobs.models import Status, Task
from projects.models import Label, Project, User
from projects.services.labels import create_label
from registry.models import ArtifactLabel, Repository, Tag
from tests.portal.conftest import SignedIn
from tests.portal.sample import make_artifact, make_execution, make_repository

People = dict[str, User | None]


def test_the_event_log_shows_runs_their_tasks_and_logs_to_administrators(
    admin: User, alice: User, signed_in: SignedIn
) -> None:
    run = make_execution()
    task = run.tasks.get()
    client = signed_in(admin)
    assert "Clean-up of abandoned uploads" in client.get("/events/").content.decode()
    assert f"/events/{run.pk}/log/{task.pk}/" in client.get(f"/events/{run.pk}/").content.decode()
    assert "3 abandoned uploads removed" in client.get(f"/events/{run.pk}/log/{task.pk}/").content.decode()
    for asked, found in (("SYSTEM_ARTIFACT_CLEANUP", True), ("REPLICATION", False)):
        assert (f"/events/{run.pk}/" in client.get("/events/", {"kind": asked}).content.decode()) == found
    other = make_execution()
    assert client.get(f"/events/{other.pk}/log/{task.pk}/").status_code == 404
    for address in ("/events/", f"/events/{run.pk}/", f"/events/{run.pk}/log/{task.pk}/"):
        assert signed_in(alice).get(address).status_code == 403
        assert signed_in(None).get(address).status_code == 302


def test_executions_and_tasks_are_found_by_their_number(admin: User, signed_in: SignedIn) -> None:
    one, other = make_execution(), make_execution()
    client = signed_in(admin)

    def runs(term: str) -> set[str]:
        return set(re.findall(r'href="(/events/\d+/)"', client.get("/events/", {"q": term}).content.decode()))

    assert runs("") == {f"/events/{one.pk}/", f"/events/{other.pk}/"}
    assert runs(f" {one.pk} ") == {f"/events/{one.pk}/"}
    for term in ("x", "-1", "9" * 40, "1.5"):
        assert runs(term) == set(), term
    task, page = one.tasks.get(), f"/events/{one.pk}/"
    for term, found in ((str(task.pk), True), (str(other.tasks.get().pk), False), ("x", False)):
        assert (f"log/{task.pk}/" in client.get(page, {"q": term}).content.decode()) == found, term


def test_a_running_job_is_polled_and_stopped(admin: User, signed_in: SignedIn) -> None:
    run = make_execution(Status.RUNNING)
    client = signed_in(admin)
    for address in ("/events/", f"/events/{run.pk}/"):
        assert 'hx-trigger="every' in client.get(address).content.decode()
    chosen = {"action": "stop_chosen", "_selected_action": [run.pk], "index": "0"}
    assert "Stop executions?" in client.post("/events/", chosen).content.decode()
    assert not Task.objects.get(execution=run).stop_requested
    client.post("/events/", {**chosen, "confirmed": "yes"})
    assert Task.objects.get(execution=run).stop_requested
    done = make_execution()
    assert 'hx-trigger="every' not in client.get(f"/events/{done.pk}/").content.decode()


def test_one_execution_is_stopped_from_its_page(admin: User, alice: User, signed_in: SignedIn) -> None:
    run = make_execution(Status.RUNNING)
    client, page = signed_in(admin), f"/events/{run.pk}/"
    assert 'href="stop/"' in client.get(page).content.decode()
    assert signed_in(alice).post(f"{page}stop/").status_code == 403
    assert "Stop this execution?" in client.get(f"{page}stop/").content.decode()
    assert not Task.objects.get(execution=run).stop_requested
    assert client.post(f"{page}stop/").headers["Location"] == page
    assert Task.objects.get(execution=run).stop_requested
    assert 'href="stop/"' not in client.get(f"/events/{make_execution().pk}/").content.decode()


def test_a_failed_task_is_tried_again_and_one_that_succeeded_is_not(admin: User, signed_in: SignedIn) -> None:
    client = signed_in(admin)
    for status, expected in ((Status.ERROR, Status.PENDING), (Status.SUCCESS, Status.SUCCESS)):
        run = make_execution(status)
        chosen = {"action": "retry_chosen", "_selected_action": [run.tasks.get().pk], "index": "0"}
        answer = client.post(f"/events/{run.pk}/", chosen, follow=True).content.decode()
        assert run.tasks.get().status == expected
        assert ("Only a task that failed or was stopped can be retried." in answer) == (status == Status.SUCCESS)
    other = make_execution(Status.ERROR)
    client.post(f"/events/{run.pk}/", {**chosen, "_selected_action": [other.tasks.get().pk]})
    assert other.tasks.get().status == Status.ERROR


def test_the_first_steps_are_shown_until_there_is_an_image(
    admin: User, alice: User, library: Project, signed_in: SignedIn
) -> None:
    client = signed_in(admin)
    assert "docker push testserver/library/hello-world:latest" in client.get("/projects/").content.decode()
    assert "docker push" not in signed_in(alice).get("/projects/").content.decode()
    make_artifact(make_repository(library, "hello-world"), "latest")
    assert "docker push" not in client.get("/projects/").content.decode()


@pytest.mark.parametrize(("who", "may"), [("maintainer", True), ("developer", True), ("guest", False)])
def test_labels_are_put_on_artifacts_and_taken_off_by_role(
    who: str, may: bool, people: People, alice: User, library: Project, shelf: Repository, signed_in: SignedIn
) -> None:
    artifact = Tag.objects.get(repository=shelf, name="1.0").artifact
    label = create_label(name="live", description="", color="#C92100", actor=alice, project=library)
    client = signed_in(people[who])
    page = f"/projects/library/repositories/shelf@{artifact.digest}/"
    client.post(page + "label/", {"label": label.pk})
    assert ArtifactLabel.objects.filter(artifact=artifact, label=label).exists() == may
    ArtifactLabel.objects.get_or_create(artifact=artifact, label=label)
    assert ("unlabel/" in client.get(page).content.decode()) == may
    client.post(page + "unlabel/", {"label": label.pk})
    assert ArtifactLabel.objects.filter(artifact=artifact, label=label).exists() != may


def test_a_label_of_another_project_is_not_put_on(
    alice: User, commons: Project, shelf: Repository, signed_in: SignedIn
) -> None:
    artifact = Tag.objects.get(repository=shelf, name="1.0").artifact
    label = create_label(name="live", description="", color="", actor=alice, project=commons)
    page = f"/projects/library/repositories/shelf@{artifact.digest}/"
    for chosen in (str(label.pk), "999", "x", ""):
        signed_in(alice).post(page + "label/", {"label": chosen})
    assert Label.objects.count() == 1
    assert not ArtifactLabel.objects.exists()


def test_the_build_history_of_an_image_is_shown_as_text(alice: User, library: Project, signed_in: SignedIn) -> None:
    config = {"history": [{"created": "2026-01-01T00:00:00Z", "created_by": "RUN echo '<b>hello</b>'"}]}
    artifact = make_artifact(make_repository(library, "built"), "1", config=config)
    page = signed_in(alice).get(f"/projects/library/repositories/built@{artifact.digest}/").content.decode()
    assert "RUN echo &#x27;&lt;b&gt;hello&lt;/b&gt;&#x27;" in page
