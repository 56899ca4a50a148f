"""Policies at work: what is copied where, with whom it belongs together, and what is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from harborsite.errors import PreconditionFailed
from harborsite.jobs import runner
from harborsite.jobs.models import Execution, Status
from projects.models import Project, User
from projects.services import lifecycle
from registry.models import Artifact, Repository, Tag
from registry.oci.digest import Digest
from registry.services import deletes, tags
from replication.adapters.base import Options, connect
from replication.adapters.distribution import Distribution
from replication.errors import PolicyDisabled, RemoteError
from replication.local import Local
from replication.models import Registry, ReplicationPolicy
from replication.services import executions, planning, policies, running
from tests import images
from tests.replication.conftest import carry_out, log_of, push_here

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("loopback")]


@pytest.fixture
def registry(distribution: str) -> Registry:
    return Registry.objects.create(name="elsewhere", type="docker-registry", url=f"http://{distribution}")


@pytest.fixture
def remote(registry: Registry) -> Iterator[Distribution]:
    with connect(registry, Options()) as adapter:
        yield adapter


def policy(admin: User, registry: Registry, *, pull: bool = False, **changes: Any) -> ReplicationPolicy:
    side = {"src_registry" if pull else "dest_registry": registry.pk}
    fields = {"name": "rule", "enabled": True, "override": True, **side, **changes}
    return policies.create_policy(description=policies.Description(**fields), actor=admin)


def run(rule: ReplicationPolicy) -> Execution:
    return carry_out(executions.start(policy=rule))


def by_name(value: str) -> list[dict[str, str]]:
    return [{"type": "name", "value": value}]


def test_a_push_carries_all_tags_of_a_repository_in_one_task(
    admin: User, library: Project, registry: Registry, remote: Distribution
) -> None:
    index, image = images.index("multi"), images.image("single")
    push_here(library, "library/push/app", ("v1", "latest"), index)
    push_here(library, "library/push/app", ("v2",), image)
    rule = policy(
        admin, registry, dest_namespace="mirror", dest_namespace_replace_count=1, filters=by_name("library/push/*")
    )
    execution = run(rule)
    assert execution.status == Status.SUCCESS, log_of(execution)
    task = execution.tasks.get()
    assert task.extra_attrs["src_resource"] == "library/push/app [3 item(s) in total]"
    assert task.extra_attrs["dst_resource"] == "mirror/push/app [3 item(s) in total]"
    assert {tag: str(remote.digest_of("mirror/push/app", tag)) for tag in ("v1", "latest", "v2")} == {
        "v1": index.digest,
        "latest": index.digest,
        "v2": image.digest,
    }
    for child in index.children:
        assert remote.digest_of("mirror/push/app", child.digest) is not None


def test_what_is_there_is_not_sent_again(admin: User, library: Project, registry: Registry) -> None:
    push_here(library, "library/again/app", ("v1",), images.image("again"))
    rule = policy(admin, registry, filters=by_name("library/again/*"))
    assert "1 manifest(s) copied, 0 were there" in log_of(run(rule))
    assert "0 manifest(s) copied, 1 were there" in log_of(run(rule))


def test_signatures_go_along_and_are_found(
    admin: User, library: Project, registry: Registry, remote: Distribution
) -> None:
    """Debian's docker-registry has no referrers API: the list under the fallback tag is kept for it."""
    image = images.image("signed")
    sbom = images.artifact(b"sbom", subject=image)
    signature = images.artifact(b"signature", artifact_type="application/vnd.example.signature", subject=sbom)
    for tagged, manifest in ((("v1",), image), ((), sbom), ((), signature)):
        push_here(library, "library/signed/app", tagged, manifest)
    assert run(policy(admin, registry, filters=by_name("library/signed/*"))).status == Status.SUCCESS
    found = remote.accessories("library/signed/app", Digest.parse(image.digest))
    assert [each.digest for each in found] == [sbom.digest]
    assert remote.digest_of("library/signed/app", signature.digest) is not None


def test_signatures_that_hang_on_a_tag_go_along_both_ways(
    admin: User, library: Project, registry: Registry, remote: Distribution
) -> None:
    """As cosign makes them; the filter for tags means the image alone, which they belong to."""
    image = images.image("cosigned")
    signature, attestation = images.image("its signature"), images.image("its attestation")
    tag = image.digest.replace(":", "-")
    push_here(library, "library/cosigned/app", ("v1",), image)
    push_here(library, "library/cosigned/app", (f"{tag}.sig",), signature)
    push_here(library, "library/cosigned/app", (f"{tag}.att",), attestation)
    push_here(library, "library/cosigned/app", ("dev",), images.image("not meant"))
    wanted = [*by_name("library/cosigned/app"), {"type": "tag", "value": "v*"}]
    there = run(policy(admin, registry, filters=wanted))
    assert there.status == Status.SUCCESS, log_of(there)
    assert remote.tags("library/cosigned/app") == {"v1", f"{tag}.sig", f"{tag}.att"}
    back = policy(admin, registry, pull=True, name="back", dest_namespace="cosigned", filters=wanted)
    assert run(back).status == Status.SUCCESS
    pulled = Tag.objects.filter(repository__name="cosigned/app")
    assert dict(pulled.values_list("name", "artifact__digest")) == {
        "v1": image.digest,
        f"{tag}.sig": signature.digest,
        f"{tag}.att": attestation.digest,
    }


def test_a_tag_that_is_another_artifact_is_moved_only_by_a_policy_that_overrides(
    admin: User, library: Project, registry: Registry, remote: Distribution
) -> None:
    old, new = images.image("old"), images.image("new")
    push_here(library, "library/moved/app", ("v1",), old)
    rule = policy(admin, registry, override=False, filters=by_name("library/moved/*"))
    run(rule)
    push_here(library, "library/moved/app", ("v1",), new)
    assert "does not override: skipped" in log_of(run(rule))
    assert str(remote.digest_of("library/moved/app", "v1")) == old.digest
    ReplicationPolicy.objects.update(override=True)
    run(rule)
    assert str(remote.digest_of("library/moved/app", "v1")) == new.digest


def test_pulled_artifacts_have_their_digests_and_make_their_project(
    admin: User, library: Project, registry: Registry
) -> None:
    image, index = images.image("pulled", layers=3), images.index("pulled")
    push_here(library, "library/pulled/a", ("v1",), image)
    push_here(library, "library/pulled/b", ("v1", "v2"), index)
    push = policy(admin, registry, name="there", filters=by_name("library/pulled/*"))
    run(push)
    back = policy(
        admin, registry, pull=True, name="back", dest_namespace="mirrored", filters=by_name("library/pulled/**")
    )
    execution = run(back)
    assert execution.status == Status.SUCCESS, log_of(execution)
    assert execution.tasks.count() == 2
    pulled = Tag.objects.filter(repository__name__startswith="mirrored/")
    assert set(pulled.values_list("repository__name", "name", "artifact__digest")) == {
        ("mirrored/a", "v1", image.digest),
        ("mirrored/b", "v1", index.digest),
        ("mirrored/b", "v2", index.digest),
    }
    assert Project.objects.get(name="mirrored").owner == admin
    assert "0 manifest(s) copied" in log_of(run(back))


def test_a_project_that_another_task_makes_at_the_same_moment_is_used(
    admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = lifecycle.create_project

    def make_twice(**given: Any) -> Project:
        make(**given)
        return make(**given)

    monkeypatch.setattr(lifecycle, "create_project", make_twice)
    Local(admin).prepare("contended/app", public=False)
    assert Project.objects.filter(name="contended").count() == 1


def test_a_layer_that_another_repository_of_the_target_holds_is_mounted(
    admin: User, library: Project, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = images.image("shared layers", layers=2)
    push_here(library, "library/mounted/a", ("v1",), image)
    rule = policy(admin, registry, filters=by_name("library/mounted/*"))
    run(rule)
    push_here(library, "library/mounted/b", ("v1",), image)
    sent = []
    push = Distribution.push_blob
    monkeypatch.setattr(Distribution, "push_blob", lambda *given: sent.append(push(*given)))
    run(rule)
    assert sent == [0, 0, 0]


def test_only_what_the_filters_mean_is_copied(
    admin: User, library: Project, commons: Project, registry: Registry, remote: Distribution
) -> None:
    for project in (library, commons):
        for name in ("filtered/app", "filtered/web"):
            push_here(project, f"{project.name}/{name}", ("v1", "dev"), images.image(f"{project.name} {name}"))
    wanted = [{"type": "name", "value": "{library,none}/**/app"}, {"type": "tag", "value": "v*"}]
    execution = run(policy(admin, registry, filters=wanted))
    assert [task.extra_attrs["src_resource"] for task in execution.tasks.all()] == [
        "library/filtered/app [1 item(s) in total]"
    ]
    assert remote.tags("library/filtered/app") == {"v1"}


def test_nothing_to_do_is_a_success_that_says_so(admin: User, library: Project, registry: Registry) -> None:
    execution = run(policy(admin, registry, filters=by_name("library/nothing/**")))
    assert (execution.status, execution.status_message) == (Status.SUCCESS, "no resources need to be replicated")


def test_a_flattening_that_does_not_fit_fails_the_execution(admin: User, library: Project, registry: Registry) -> None:
    push_here(library, "library/flat/app", ("v1",), images.image("flat"))
    rule = policy(
        admin, registry, dest_namespace="x", dest_namespace_replace_count=4, filters=by_name("library/flat/*")
    )
    execution = run(rule)
    assert execution.status == Status.ERROR
    assert "flattening level is 4" in execution.status_message


def test_a_single_active_policy_lets_the_older_execution_finish(
    admin: User, library: Project, registry: Registry
) -> None:
    push_here(library, "library/single/app", ("v1",), images.image("single"))
    rule = policy(admin, registry, single_active_replication=True, filters=by_name("library/single/*"))
    first, second = executions.start(policy=rule), executions.start(policy=rule)
    second = carry_out(second)
    assert (second.status, second.status_message) == (Status.ERROR, planning.ALREADY_ACTIVE)
    assert carry_out(first).status == Status.SUCCESS


def test_pushes_tags_and_deletions_start_event_based_policies(
    admin: User, library: Project, registry: Registry, remote: Distribution
) -> None:
    rule = policy(
        admin,
        registry,
        trigger="event_based",
        replicate_deletion=True,
        filters=[*by_name("library/event/**"), {"type": "tag", "value": "v*"}],
    )
    image = images.image("event")
    push_here(library, "library/event/app", ("v1",), image)
    push_here(library, "library/other/app", ("v1",), image)
    push_here(library, "library/event/app", ("dev",), image)
    artifact = Artifact.objects.get(repository__name="library/event/app")
    tags.create(artifact=artifact, name="v2", actor=admin)
    for execution in Execution.objects.filter(vendor_id=rule.pk).order_by("pk"):
        carry_out(execution)
    remote_tags = {tag for tag in ("v1", "v2", "dev") if remote.digest_of("library/event/app", tag)}
    assert remote_tags == {"v1", "v2"}
    done = Execution.objects.filter(vendor_id=rule.pk).count()
    assert done == 2
    deletes.delete_artifact(artifact=artifact, actor=admin)
    deletion = Execution.objects.filter(vendor_id=rule.pk).latest("pk")
    assert carry_out(deletion).status == Status.SUCCESS, log_of(deletion)
    assert remote.digest_of("library/event/app", "v1") is None


class Keeping:
    """A target that keeps what an index lists, and one thing for ever."""

    def __init__(self, keeps: str, *, until: str, for_ever: str) -> None:
        self.deleted: list[str] = []
        self._keeps, self._until, self._for_ever = keeps, until, for_ever

    def delete_artifact(self, repository: str, digest: Digest) -> None:
        if str(digest) == self._for_ever or (str(digest) == self._keeps and self._until not in self.deleted):
            raise RemoteError("it is needed", status=412)
        self.deleted.append(str(digest))

    def close(self) -> None:
        """Nothing is open."""


def test_a_repository_that_goes_is_one_execution_and_what_is_refused_keeps_nothing_else(
    admin: User, library: Project, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = policy(
        admin,
        registry,
        trigger="event_based",
        replicate_deletion=True,
        filters=[*by_name("library/gone/*"), {"type": "tag", "value": "v*"}],
    )
    pushed = {tag: images.image(f"gone {tag}") for tag in ("v1", "v2", "v3", "dev")}
    for tag, image in pushed.items():
        push_here(library, "library/gone/app", (tag,), image)
    Execution.objects.all().delete()
    first, second, third = (pushed[tag].digest for tag in ("v1", "v2", "v3"))
    deletes.delete_repository(repository=Repository.objects.get(name="library/gone/app"), actor=admin)
    execution = Execution.objects.get(vendor_id=rule.pk)
    target = Keeping(third, until=first, for_ever=second)
    monkeypatch.setattr(running, "open_target", lambda policy: target)
    execution = carry_out(execution)
    (task,) = execution.tasks.all()
    assert task.extra_attrs["src_resource"] == "library/gone/app [3 item(s) in total]"
    assert target.deleted == [first, third], "what was refused is asked for again"
    assert (execution.status, task.status_message) == (Status.ERROR, "it is needed")
    assert log_of(execution).count(f"library/gone/app@{second}: it is needed") == 3


def test_a_registry_that_is_away_is_tried_again_and_said_to_be(
    admin: User, library: Project, registry: Registry
) -> None:
    push_here(library, "library/away/app", ("v1",), images.image("away"))
    Registry.objects.update(url="http://127.0.0.1:9")
    execution = carry_out(executions.start(policy=policy(admin, registry, filters=by_name("library/away/*"))))
    task = execution.tasks.get()
    assert task.status == Status.PENDING
    assert task.not_before is not None
    assert "cannot be reached" in task.status_message
    assert "trying again" in log_of(execution)


def test_one_task_is_retried_alone(admin: User, library: Project, registry: Registry, remote: Distribution) -> None:
    for name in ("a", "b"):
        push_here(library, f"library/retried/{name}", ("v1",), images.image(f"retried {name}"))
    rule = policy(admin, registry, filters=by_name("library/retried/*"))
    execution = executions.start(policy=rule)
    runner.launch(execution.pk)
    first, second = execution.tasks.order_by("pk")
    runner.run(first.pk)
    executions.stop(execution=execution, actor="tester")
    execution.refresh_from_db()
    assert execution.status == Status.STOPPED
    second.refresh_from_db()
    executions.retry_task(task=second, actor="tester")
    runner.run(second.pk)
    execution.refresh_from_db()
    assert (execution.status, [task.run_count for task in execution.tasks.order_by("pk")]) == (Status.SUCCESS, [1, 1])
    assert remote.tags("library/retried/b") == {"v1"}
    with pytest.raises(PreconditionFailed, match="failed or was stopped"):
        executions.retry_task(task=first, actor="tester")
    ReplicationPolicy.objects.update(enabled=False)
    with pytest.raises(PolicyDisabled):
        executions.retry_task(task=second, actor="tester")
