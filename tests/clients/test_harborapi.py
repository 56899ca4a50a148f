"""The Python client that scripts use for Harbor (`harborapi`), pointed at a running Harborsite, end to end."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from harborapi import HarborAsyncClient
from harborapi import models as shapes
from harborapi.exceptions import Forbidden

from tests import images
from tests.factories import basic
from tests.receiver import receiving
from tests.services import Site, harborsite

pytestmark = [pytest.mark.client, pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
Scenario = Callable[[HarborAsyncClient], Awaitable[None]]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with harborsite(allowed_networks="127.0.0.0/8") as running:
        yield running


@pytest.fixture
def drive(site: Site) -> Callable[[Scenario], None]:
    """Runs a scenario as the administrator; every answer must fit the client's models."""

    async def whole(scenario: Scenario) -> None:
        client = HarborAsyncClient(url=f"{site.url}/api/v2.0", username="admin", secret=site.password)
        async with client.client:  # it has no close of its own, and would leave its connections to the collector
            await scenario(client)

    def run(scenario: Scenario) -> None:
        asyncio.run(whole(scenario))

    return run


@asynccontextmanager
async def signed_in(site: Site, username: str, secret: str) -> AsyncIterator[HarborAsyncClient]:
    client = HarborAsyncClient(url=f"{site.url}/api/v2.0", username=username, secret=secret)
    async with client.client:
        yield client


def pulls(site: Site, username: str, secret: str, path: str) -> bool:
    """Whether the registry gives it to who has these credentials."""
    request = urllib.request.Request(f"{site.url}/v2/{path}", headers={"Authorization": basic(username, secret)})
    request.add_header("Accept", "application/vnd.oci.image.manifest.v1+json")
    try:
        with urllib.request.urlopen(request) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code != 401


def push(site: Site, name: str, manifest: images.Manifest) -> None:
    repository, _, tag = name.rpartition(":")
    uploads = [
        ("POST", f"/v2/{repository}/blobs/uploads/?digest={blob.digest}", blob.data, "application/octet-stream")
        for blob in manifest.blobs
    ]
    uploads.append(("PUT", f"/v2/{repository}/manifests/{tag}", manifest.data, manifest.media_type))
    for method, path, data, kind in uploads:
        headers = {"Authorization": basic("admin", site.password), "Content-Type": kind}
        request = urllib.request.Request(site.url + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 201


def test_people_projects_members_and_quotas(drive: Callable[[Scenario], None]) -> None:
    async def scenario(client: HarborAsyncClient) -> None:
        assert (await client.ping()) == "Pong"
        assert (await client.health_check()).status == "healthy"
        assert (await client.get_system_info()).auth_mode == "db_auth"
        place = await client.create_user(
            shapes.UserCreationReq(
                username="dora", email="dora@example.com", realname="Dora", password="Secret12345", comment="x"
            )
        )
        user_id = int(place.rpartition("/")[2])
        assert (await client.get_user_by_username("dora")).user_id == user_id
        await client.set_user_admin(user_id, True)
        assert (await client.get_user(user_id)).sysadmin_flag
        await client.create_project(
            shapes.ProjectReq(project_name="tools", metadata=shapes.ProjectMetadata(public="false"))
        )
        assert await client.project_exists("tools")
        await client.update_project("tools", shapes.ProjectReq(metadata=shapes.ProjectMetadata(public="true")))
        project = await client.get_project("tools")
        assert project.metadata is not None
        assert project.metadata.public == "true"
        await client.add_project_member_user("tools", "dora", 2)
        members = await client.get_project_members("tools")
        assert {member.entity_name for member in members} == {"admin", "dora"}
        quotas = await client.get_quotas()
        quota = next(each for each in quotas if each.ref and each.ref.model_dump().get("name") == "tools")
        assert quota.id
        await client.update_quota(
            quota.id, shapes.QuotaUpdateReq(hard=shapes.ResourceList.model_validate({"storage": 1024**3}))
        )
        summary = await client.get_project_summary("tools")
        assert summary.quota
        assert [project.name for project in await client.get_projects(query="name=~tool")] == ["tools"]

    drive(scenario)


def test_content_labels_robots_and_policies(drive: Callable[[Scenario], None], site: Site) -> None:
    async def scenario(client: HarborAsyncClient) -> None:
        await client.create_project(shapes.ProjectReq(project_name="content"))
        project = await client.get_project("content")
        assert project.project_id
        manifest = images.image("harborapi")
        push(site, "content/nested/app:v1", manifest)
        (artifact,) = await client.get_artifacts("content", "nested/app", with_tag=True)
        assert artifact.digest == manifest.digest
        await client.create_artifact_tag("content", "nested/app", "v1", shapes.Tag(name="stable"))
        tags = await client.get_artifact_tags("content", "nested/app", "v1")
        assert {tag.name for tag in tags} == {"v1", "stable"}
        await client.update_repository("content", "nested/app", shapes.Repository(description="An app"))
        assert (await client.get_repository("content", "nested/app")).description == "An app"
        await client.create_label(shapes.Label(name="good", scope="p", project_id=project.project_id))
        (label,) = await client.get_labels(scope="p", project_id=project.project_id)
        await client.add_artifact_label("content", "nested/app", "v1", label)
        history = await client.get_artifact_build_history("content", "nested/app", "v1")
        assert history
        robot = await client.create_robot(
            shapes.RobotCreate(
                name="ci",
                level="project",
                duration=-1,
                permissions=[
                    shapes.RobotPermission(
                        kind="project",
                        namespace="content",
                        access=[shapes.Access(resource="repository", action="pull")],
                    )
                ],
            )
        )
        assert robot.name == "robot$content+ci"
        assert robot.secret
        await client.delete_robot(robot.id or 0)
        await client.create_webhook_policy(
            "content",
            shapes.WebhookPolicy(
                name="hook",
                enabled=True,
                event_types=["PUSH_ARTIFACT"],
                targets=[shapes.WebhookTargetObject(type="http", address="http://example.com")],
            ),
        )
        assert [policy.name for policy in await client.get_webhook_policies("content")] == ["hook"]
        found = await client.search("content")
        assert found.repository
        await client.delete_artifact("content", "nested/app", "v1")
        await client.delete_repository("content", "nested/app")

    drive(scenario)


def test_system(drive: Callable[[Scenario], None]) -> None:
    async def scenario(client: HarborAsyncClient) -> None:
        assert (await client.get_config()).auth_mode
        await client.update_config(shapes.Configurations(banner_message="hello"))
        assert (await client.get_statistics()).total_project_count is not None
        assert (await client.get_permissions()).system
        await client.get_cve_allowlist()
        await client.get_audit_logs()
        assert (await client.get_system_volume_info()).storage
        assert await client.get_retention_metadata()

    drive(scenario)


async def until(found: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what a job does, half a minute at most."""
    for _ in range(300):
        if await found():
            return
        await asyncio.sleep(0.1)
    raise AssertionError("it did not come to be")


def last(place: str) -> int:
    return int(place.rpartition("/")[2])


def test_accounts_and_roles_change(drive: Callable[[Scenario], None], site: Site) -> None:
    async def scenario(client: HarborAsyncClient) -> None:
        user_id = last(
            await client.create_user(
                shapes.UserCreationReq(username="fred", email="f@example.com", realname="Fred", password="Secret12345")
            )
        )
        await client.update_user(user_id, shapes.UserProfile(email="fred@example.com", realname="Fred", comment="y"))
        await client.set_user_password(user_id, new_password="Other12345")
        assert [found.username for found in await client.search_users_by_username("fred")] == ["fred"]
        await client.create_project(shapes.ProjectReq(project_name="roles"))
        member_id = last(await client.add_project_member_user("roles", user_id, 3))
        async with signed_in(site, "fred", "Other12345") as his:
            assert (await his.get_current_user()).username == "fred"
            assert {each.action for each in await his.get_current_user_permissions("/project/roles")} >= {"pull"}
            with pytest.raises(Forbidden):
                await his.update_project("roles", shapes.ProjectReq(metadata=shapes.ProjectMetadata(public="true")))
            await client.update_project_member_role("roles", member_id, 1)
            assert (await client.get_project_member("roles", member_id)).role_id == 1
            await his.update_project("roles", shapes.ProjectReq(metadata=shapes.ProjectMetadata(public="true")))
        await client.remove_project_member("roles", member_id)
        group_id = last(await client.create_usergroup(shapes.UserGroup(group_name="crew", group_type=2)))
        await client.update_usergroup(group_id, shapes.UserGroup(group_name="team", group_type=2))
        assert [group.group_name for group in await client.search_usergroups("team")] == ["team"]
        await client.delete_usergroup(group_id)
        await client.delete_user(user_id)
        await client.delete_project("roles")

    drive(scenario)


def test_robots_pull_until_their_secret_changes(drive: Callable[[Scenario], None], site: Site) -> None:
    async def scenario(client: HarborAsyncClient) -> None:
        await client.create_project(shapes.ProjectReq(project_name="machines"))
        manifest = images.image("robots")
        push(site, "machines/app:v1", manifest)
        access = [shapes.Access(resource="repository", action="pull")]
        grant = shapes.RobotPermission(kind="project", namespace="machines", access=access)
        made = await client.create_robot(
            shapes.RobotCreate(name="puller", level="system", duration=30, permissions=[grant])
        )
        assert made.id
        assert made.secret
        async with signed_in(site, str(made.name), made.secret) as its:
            with pytest.raises(Forbidden):
                await its.get_artifacts("machines", "app")
        assert pulls(site, str(made.name), made.secret, f"machines/app/manifests/{manifest.digest}")
        await client.refresh_robot_secret(made.id, "Fresh12345")
        assert not pulls(site, str(made.name), made.secret, "machines/app/manifests/v1")
        assert pulls(site, str(made.name), "Fresh12345", "machines/app/manifests/v1")
        robot = await client.get_robot(made.id)
        robot.disable = True
        await client.update_robot(made.id, robot)
        assert not pulls(site, str(made.name), "Fresh12345", "machines/app/manifests/v1")
        assert [each.name for each in await client.get_robots(query="name=puller")]
        await client.delete_robot(made.id)

    drive(scenario)


def test_quotas_refuse_and_labels_come_and_go(drive: Callable[[Scenario], None], site: Site) -> None:
    async def scenario(client: HarborAsyncClient) -> None:
        await client.create_project(shapes.ProjectReq(project_name="small", storage_limit=1))
        project = await client.get_project("small")
        (quota,) = await client.get_quotas(reference="project", reference_id=str(project.project_id))
        with pytest.raises(urllib.error.HTTPError, match="403"):
            push(site, "small/app:v1", images.image("small"))
        wider = shapes.ResourceList.model_validate({"storage": -1})
        await client.update_quota(quota.id or 0, shapes.QuotaUpdateReq(hard=wider))
        push(site, "small/app:v1", images.image("small"))
        used = (await client.get_quota(quota.id or 0)).used
        assert used
        assert used.model_dump()["storage"] > 1
        label_id = last(await client.create_label(shapes.Label(name="hot", scope="g", color="#f00")))
        await client.update_label(label_id, shapes.Label(name="warm", scope="g", color="#ff0"))
        await client.add_artifact_label("small", "app", "v1", shapes.Label(id=label_id))
        artifact = await client.get_artifact("small", "app", "v1", with_label=True)
        assert [label.name for label in artifact.labels or []] == ["warm"]
        found = await client.get_project_artifacts("small", query=f"labels=({label_id})")
        assert [each.digest for each in found] == [artifact.digest]
        await client.delete_artifact_label("small", "app", "v1", label_id)
        await client.delete_label(label_id)
        await client.copy_artifact("small", "copy", "small/app:v1")
        assert (await client.get_artifact("small", "copy", "v1")).digest == artifact.digest
        await client.delete_artifact_tag("small", "copy", "v1", "v1")

    drive(scenario)


def test_retention_runs_and_webhooks_arrive(drive: Callable[[Scenario], None], site: Site) -> None:
    every = {"kind": "doublestar", "decoration": "matches", "pattern": "**"}
    where = {"repository": [{**every, "decoration": "repoMatches"}]}

    async def scenario(client: HarborAsyncClient) -> None:
        await client.create_project(shapes.ProjectReq(project_name="tidy"))
        project = await client.get_project("tidy")
        with receiving() as receiver:
            target = shapes.WebhookTargetObject(type="http", address=receiver.url)
            hook_id = last(
                await client.create_webhook_policy(
                    "tidy",
                    shapes.WebhookPolicy(name="hook", enabled=True, event_types=["PUSH_ARTIFACT"], targets=[target]),
                )
            )
            for tag in ("v1", "v2", "v3"):
                push(site, f"tidy/app:{tag}", images.image(tag))

            async def told() -> bool:
                return len(receiver.all("PUSH_ARTIFACT")) == 3

            await until(told)

            async def noted() -> bool:
                return [job.status for job in await client.get_webhook_jobs("tidy", hook_id)] == ["Success"] * 3

            await until(noted)
        assert "PUSH_ARTIFACT" in {each.event_type for each in await client.get_webhook_policy_last_trigger("tidy")}
        policy = await client.get_webhook_policy("tidy", hook_id)
        policy.enabled = False
        await client.update_webhook_policy("tidy", hook_id, policy)
        await client.delete_webhook_policy("tidy", hook_id)
        rule = {
            "template": "latestPushedK",
            "action": "retain",
            "params": {"latestPushedK": 1},
            "tag_selectors": [every],
            "scope_selectors": where,
        }
        retention_id = last(
            await client.create_retention_policy(
                shapes.RetentionPolicy.model_validate(
                    {
                        "algorithm": "or",
                        "rules": [rule],
                        "scope": {"level": "project", "ref": project.project_id},
                        "trigger": {"kind": "Schedule", "settings": {"cron": ""}},
                    }
                )
            )
        )
        assert await client.get_project_retention_id("tidy") == retention_id
        for dry_run in (True, False):
            execution_id = last(await client.start_retention_execution(retention_id, dry_run=dry_run))

            async def ended(execution_id: int = execution_id) -> bool:
                executions = await client.get_retention_executions(retention_id)
                return {each.status for each in executions if each.id == execution_id} == {"Success"}

            await until(ended)
            (task,) = await client.get_retention_tasks(retention_id, execution_id)
            assert (task.total, task.retained) == (3, 1)
            assert await client.get_retention_execution_task_log(retention_id, execution_id, task.id or 0)
            assert len(await client.get_artifacts("tidy", "app")) == (3 if dry_run else 1)
        await client.delete_retention_policy(retention_id)

    drive(scenario)
