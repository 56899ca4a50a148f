"""The Python client that scripts use for Harbor (`harborapi`), pointed at a running Harborsite, end to end."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Awaitable, Callable, Iterator

import pytest
from harborapi import HarborAsyncClient
from harborapi import models as shapes

from tests import images
from tests.factories import basic
from tests.services import Site, harborsite

pytestmark = [pytest.mark.client, pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
Scenario = Callable[[HarborAsyncClient], Awaitable[None]]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with harborsite() as running:
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
