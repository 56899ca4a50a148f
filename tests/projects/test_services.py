"""The services of the projects app, where HTTP would only be in the way: races, counting, rules."""

from __future__ import annotations

import pytest

from audit.models import AuditLog
from harborsite.errors import BadRequest, Forbidden
from projects import params
from projects.errors import (
    GrantTooWide,
    LastAdministrator,
    MemberExists,
    ProjectExists,
    ProjectNotEmpty,
    QuotaExceeded,
    RobotExists,
    UserExists,
    WeakPassword,
)
from projects.models import Member, Project, Quota, Robot, User
from projects.permissions import Role, can
from projects.services import accounts, lifecycle, members, quotas, robots
from projects.services.robots import Grant
from tests.factories import PASSWORD, add, make_project

pytestmark = pytest.mark.django_db


def grant(namespace: str, *pairs: str, kind: str = "project") -> Grant:
    access = [{"resource": pair.split(":")[0], "action": pair.split(":")[1]} for pair in pairs]
    return {"kind": kind, "namespace": namespace, "access": access}  # type: ignore[typeddict-item]


def events() -> list[str]:
    return [f"{row.username} {row.operation} {row.resource_type} {row.resource}" for row in AuditLog.objects.all()]


def test_who_makes_a_project_administers_it(carol: User) -> None:
    project = lifecycle.create_project(name="tools", public=False, actor=carol, metadata={"auto_scan": "true"})
    assert can(carol, "project:delete", project)
    assert Quota.objects.get(project=project).hard == -1
    assert events() == ["carol create project tools"]
    with pytest.raises(ProjectExists):
        lifecycle.create_project(name="tools", public=True, actor=carol)
    assert len(events()) == 1


@pytest.mark.parametrize("name", ["", "Tools", "a/b", "-a", "a..b", "a" * 256, "a\n"])
def test_bad_project_names_are_refused(carol: User, name: str) -> None:
    with pytest.raises(BadRequest):
        lifecycle.create_project(name=name, public=False, actor=carol)


def test_project_creation_can_be_restricted(carol: User, admin: User) -> None:
    params.update({"project_creation_restriction": "adminonly"})
    params.forget()
    with pytest.raises(Forbidden):
        lifecycle.create_project(name="tools", public=False, actor=carol)
    assert lifecycle.create_project(name="tools", public=False, actor=admin)


def test_only_who_manages_quotas_sets_the_limit_of_a_new_project(carol: User, admin: User) -> None:
    params.update({"storage_per_project": 5000})
    params.forget()
    ordinary = lifecycle.create_project(name="a", public=False, actor=carol, storage_limit=999999)
    generous = lifecycle.create_project(name="b", public=False, actor=admin, storage_limit=-1)
    assert (ordinary.quota.hard, generous.quota.hard) == (5000, -1)


def test_a_deleted_project_takes_every_grant_of_its_name_along(admin: User) -> None:
    """A later project of the same name is another one."""
    project = lifecycle.create_project(name="tools", public=False, actor=admin)
    wide, _ = robots.create_robot(
        name="wide", level="system", permissions=[grant("tools", "repository:pull")], duration=-1, actor=admin
    )
    narrow, _ = robots.create_robot(
        name="ci", level="project", permissions=[grant("tools", "repository:pull")], duration=-1, actor=admin
    )
    lifecycle.delete_project(project=project, actor=admin)
    again = lifecycle.create_project(name="tools", public=False, actor=admin)
    assert not Robot.objects.filter(pk=narrow.pk).exists()
    assert not can(Robot.objects.get(pk=wide.pk), "repository:pull", again)


def test_a_project_with_repositories_stays(library: Project, alice: User) -> None:
    library.repositories.create(name="library/alpine")
    with pytest.raises(ProjectNotEmpty):
        lifecycle.delete_project(project=library, actor=alice)
    assert Project.objects.filter(pk=library.pk).exists()


def test_the_quota_counts_and_refuses(library: Project) -> None:
    Quota.objects.filter(project=library).update(hard=1024)
    quotas.charge(project=library, size=1000)
    with pytest.raises(QuotaExceeded) as refused:
        quotas.charge(project=library, size=1024 * 1024)
    assert refused.value.message == (
        "adding 1.0 MiB of storage resource, which when updated to current usage of 1000 B "
        "will exceed the configured upper limit of 1.0 KiB."
    )
    quotas.check(project=library, size=24)
    quotas.release(project=library, size=5000)
    assert Quota.objects.get(project=library).used == 0


def test_a_recount_counts_shared_blobs_once(library: Project) -> None:
    from django.utils import timezone

    from registry.models import Artifact, Blob, BlobLink

    blob = Blob.objects.create(digest="sha256:" + "a" * 64, size=100)
    for name in ("library/a", "library/b"):
        BlobLink.objects.create(project=library, repository_name=name, blob=blob)
        repository = library.repositories.create(name=name)
        Artifact.objects.create(
            repository=repository, digest="sha256:" + "b" * 64, manifest=b"0123456789", type="IMAGE",
            push_time=timezone.now(),
        )  # fmt: skip
    assert quotas.recount(library).used == 110


@pytest.mark.parametrize("hard", [0, -2, 1024**5 + 1])
def test_impossible_limits_are_refused(library: Project, admin: User, hard: int) -> None:
    with pytest.raises(BadRequest):
        quotas.set_limit(quota=library.quota, hard=hard, actor=admin)


@pytest.mark.parametrize("password", ["", "Short1", "alllower1", "ALLUPPER1", "NoDigits", "Aa1" * 43])
def test_weak_passwords_are_refused(admin: User, password: str) -> None:
    with pytest.raises(WeakPassword):
        accounts.create_user(username="dave", email="d@example.com", password=password, actor=admin)


@pytest.mark.parametrize("name", ["", "a,b", "robot$x", "a" * 256, "a\nb", " a"])
def test_bad_user_names_are_refused(admin: User, name: str) -> None:
    """The dollar sign keeps people out of the robots' name space."""
    with pytest.raises(BadRequest):
        accounts.create_user(username=name, email="d@example.com", password=PASSWORD, actor=admin)


def test_names_and_addresses_are_unique_together(admin: User, carol: User) -> None:
    for username, email in [("carol", "x@example.com"), ("x", "carol@example.com"), ("carol@example.com", "y@e.org")]:
        with pytest.raises(UserExists):
            accounts.create_user(username=username, email=email, password=PASSWORD, actor=admin)


def test_a_deleted_account_frees_its_name_and_loses_its_rights(library: Project, bob: User, admin: User) -> None:
    accounts.delete_user(user=bob, actor=admin)
    bob.refresh_from_db()
    assert (bob.username, bob.deleted, bob.is_active) == (f"bob#{bob.pk}", True, False)
    assert not Member.objects.filter(user=bob).exists()
    again = accounts.create_user(username="bob", email="bob@example.com", password=PASSWORD, actor=admin)
    assert not can(again, "repository:pull", library)
    assert events()[::-1] == ["admin delete user bob", "admin create user bob"]


def test_somebody_must_be_left_who_administers(admin: User, carol: User) -> None:
    with pytest.raises(LastAdministrator):
        accounts.set_sysadmin(user=admin, flag=False, actor="system")
    accounts.set_sysadmin(user=carol, flag=True, actor=admin)
    accounts.set_active(user=admin, active=False, actor=carol)
    with pytest.raises(LastAdministrator):
        accounts.set_active(user=carol, active=False, actor="system")


def test_ones_own_password_needs_the_old_one(carol: User) -> None:
    with pytest.raises(Forbidden):
        accounts.change_password(user=carol, old_password="wrong", password="Newer12345")
    with pytest.raises(BadRequest):
        accounts.change_password(user=carol, old_password=PASSWORD, password=PASSWORD)
    accounts.change_password(user=carol, old_password=PASSWORD, password="Newer12345")
    assert User.objects.get(pk=carol.pk).check_password("Newer12345")


def test_members_come_change_and_go(library: Project, alice: User, carol: User) -> None:
    member = members.add_member(project=library, role=Role.GUEST, actor=alice, user=carol)
    with pytest.raises(MemberExists):
        members.add_member(project=library, role=Role.DEVELOPER, actor=alice, user=carol)
    with pytest.raises(BadRequest):
        members.set_role(member=member, role=9, actor=alice)
    members.set_role(member=Member.objects.get(pk=member.pk), role=Role.DEVELOPER, actor=alice)
    assert can(carol.refresh_rights(), "repository:push", library)
    members.remove_member(member=member, actor=alice)
    assert not can(carol.refresh_rights(), "repository:pull", library)
    assert [event.split()[1] for event in events()] == ["delete", "update", "create"]


def test_a_robot_expires_and_its_secret_is_kept_as_a_hash(library: Project, alice: User) -> None:
    robot, secret = robots.create_robot(
        name="ci", level="project", permissions=[grant("library", "repository:push")], duration=2, actor=alice
    )
    assert robot.name == "library+ci"
    assert robot.expires_at == int(robot.creation_time.timestamp()) + 2 * 86400
    assert secret not in Robot.objects.get(pk=robot.pk).secret
    accounts.check_password(secret)
    assert can(robot, "repository:pull", library)
    with pytest.raises(RobotExists):
        robots.create_robot(
            name="ci", level="project", permissions=[grant("library", "repository:pull")], duration=-1, actor=alice
        )


def test_a_robot_makes_no_robot_above_itself(library: Project, alice: User, admin: User) -> None:
    other = make_project("other", alice)
    maker, _ = robots.create_robot(
        name="maker", level="system", duration=-1, actor=admin,
        permissions=[
            grant("/", "robot:create", kind="system"),
            grant("library", "repository:pull", "robot:create"),
        ],
    )  # fmt: skip
    assert robots.create_robot(
        name="child", level="system", duration=-1, actor=maker, permissions=[grant("library", "repository:pull")]
    )
    for wider in (
        grant("library", "repository:push"),
        grant("*", "repository:pull"),
        grant(other.name, "repository:pull"),
        grant("/", "user:create", kind="system"),
    ):
        with pytest.raises(GrantTooWide):
            robots.create_robot(name="big", level="system", duration=-1, actor=maker, permissions=[wider])


def test_a_robot_stays_in_its_project(library: Project, alice: User) -> None:
    make_project("other", alice)
    robot, _ = robots.create_robot(
        name="ci", level="project", permissions=[grant("library", "repository:pull")], duration=-1, actor=alice
    )
    with pytest.raises(BadRequest):
        robots.update_robot(
            robot=robot, actor=alice, description="", permissions=[grant("other", "repository:pull")], disable=False
        )


def test_roles_through_nothing_but_membership(library: Project, carol: User) -> None:
    assert not can(carol, "repository:pull", library)
    add(library, carol, Role.LIMITED_GUEST)
    assert can(carol, "repository:pull", library)
    assert not can(carol, "member:list", library)
