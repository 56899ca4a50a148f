"""A small registry to look at: people, projects, images with their tags, and what happened."""

from __future__ import annotations

import io
import json
import uuid
from datetime import timedelta
from typing import Any

from django.utils import timezone

from audit.events import Operation, ResourceType
from audit.services import record
from harborsite.jobs import schedules
from harborsite.jobs.kinds import (
    CHECK_STORAGE,
    GARBAGE_COLLECTION,
    PURGE_AUDIT_LOG,
    REPLICATION,
    RETENTION,
    SYSTEM_ARTIFACT_CLEANUP,
    WEBHOOK,
)
from harborsite.jobs.models import FINAL, Execution, Status, Task, TaskLog, Trigger, Worker
from projects.models import Project, User, UserGroup, WebhookPolicy
from projects.models.user import ADMIN_ID
from projects.permissions import Role
from projects.services import allowlists, metadata
from projects.services.labels import create_label
from registry.models import Artifact, ArtifactChild, ArtifactReference, Blob, BlobLink, Repository, Scanner, Tag
from registry.oci import media_types
from registry.oci.digest import Digest
from registry.policies import immutability, retention
from registry.storage import store
from replication.models import PreheatInstance, Registry, ReplicationPolicy
from tests.factories import add, grant, make_project, make_robot, make_user

_MIB = 1024**2


def make_repository(project: Project, name: str, **overrides: Any) -> Repository:
    return Repository.objects.create(project=project, name=f"{project.name}/{name}", **overrides)


def keep(content: bytes) -> str:
    """Put bytes into the store; returns their digest."""
    digest = Digest.of(content)
    upload = str(uuid.uuid4())
    store().append(upload, io.BytesIO(content), offset=0)
    store().commit(upload, digest)
    return str(digest)


def manifest_of(seed: str, config: dict[str, Any] | None, media_type: str) -> bytes:
    """A manifest that differs with `seed`; its config is in the store if one is given."""
    raw = json.dumps(config or {"seed": seed}).encode()
    digest = keep(raw) if config else str(Digest.of(raw))
    described = {"mediaType": media_type, "digest": digest, "size": len(raw)}
    document = {"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "config": described, "layers": []}
    return json.dumps({**document, "annotations": {"seed": seed}}).encode()


def make_artifact(
    repository: Repository,
    *tags: str,
    seed: str = "",
    days: int = 0,
    config: dict[str, Any] | None = None,
    **overrides: Any,
) -> Artifact:
    """An artifact whose digest comes from its tags, pushed so many days ago."""
    media_type = overrides.get("media_type", media_types.OCI_IMAGE_CONFIG) or media_types.OCI_IMAGE_CONFIG
    raw = manifest_of(f"{repository.name} {seed or '-'.join(tags)}", config, media_type)
    when = timezone.now() - timedelta(days=days)
    fields: dict[str, Any] = {
        "digest": str(Digest.of(raw)),
        "manifest": raw,
        "manifest_media_type": media_types.OCI_MANIFEST,
        "media_type": media_type,
        "type": media_types.IMAGE,
        "size": 12 * _MIB,
        "extra_attrs": {"os": "linux", "architecture": "amd64", "created": "2026-11-20T08:30:00Z"},
        "push_time": when,
        **overrides,
    }
    artifact = Artifact.objects.create(repository=repository, **fields)
    for tag in tags:
        Tag.objects.create(repository=repository, artifact=artifact, name=tag, push_time=when)
    return artifact


def make_index(repository: Repository, *tags: str, platforms: tuple[str, ...] = ("amd64", "arm64")) -> Artifact:
    """An image for several platforms, its parts untagged."""
    index = make_artifact(
        repository,
        *tags,
        seed="index of " + "-".join(tags),
        manifest_media_type=media_types.OCI_INDEX,
        media_type="",
        extra_attrs={},
    )
    for position, architecture in enumerate(platforms):
        platform = {"os": "linux", "architecture": architecture}
        child = make_artifact(
            repository, seed=f"{architecture} of {tags}", extra_attrs=platform, size=(11 + position) * _MIB
        )
        ArtifactChild.objects.create(artifact=index, position=position, digest=child.digest, platform=platform)
    return index


def make_signature(subject: Artifact, maker: str) -> Artifact:
    """What says that this artifact is signed."""
    return make_artifact(
        subject.repository,
        seed=f"{maker} of {subject.digest}",
        subject_digest=subject.digest,
        accessory_type=f"signature.{maker}",
        extra_attrs={},
        size=700,
    )


_BUILD = {
    "architecture": "amd64",
    "os": "linux",
    "history": [
        {"created": "2026-11-20T08:20:11Z", "created_by": "/bin/sh -c #(nop) ADD file:6a1 in /"},
        {"created": "2026-11-20T08:28:40Z", "created_by": "RUN pip install --no-cache-dir -r requirements.txt"},
        {"created": "2026-11-20T08:30:00Z", "created_by": "COPY . /srv/shop", "comment": "buildkit"},
        {"created": "2026-11-20T08:30:00Z", "created_by": 'CMD ["gunicorn", "shop.wsgi"]', "empty_layer": True},
    ],
}


def make_execution(
    status: Status = Status.SUCCESS, *, kind: str = SYSTEM_ARTIFACT_CLEANUP, **overrides: Any
) -> Execution:
    """One run with its task and log; of the clean-up of uploads, unless another kind is named."""
    now = timezone.now()
    end = now if status in FINAL else None
    run = Execution.objects.create(
        vendor_type=kind,
        trigger=Trigger.SCHEDULE,
        status=status,
        launched=True,
        start_time=now,
        end_time=end,
        **overrides,
    )
    task = Task.objects.create(
        execution=run, vendor_type=run.vendor_type, status=status, start_time=now, end_time=end, done=3, total=3
    )
    TaskLog.objects.create(task=task, text="3 abandoned uploads removed\n")
    return run


def make_jobs() -> None:
    """Two workers, one of them busy, a schedule, and what waits."""
    now = timezone.now()
    for number in (1, 2):
        name = f"registry:{4100 + number}"
        Worker.objects.create(name=name, host="registry", pid=4100 + number, start_time=now, heartbeat=now)
    schedules.put(vendor_type=GARBAGE_COLLECTION, cron_type="Daily", expression="0 0 3 * * *")
    busy = make_execution(Status.RUNNING).tasks.get()
    Task.objects.filter(pk=busy.pk).update(worker="registry:4101", done=1)
    for kind in (RETENTION, GARBAGE_COLLECTION, GARBAGE_COLLECTION):
        run = Execution.objects.create(vendor_type=kind, trigger=Trigger.SCHEDULE, launched=True, start_time=now)
        Task.objects.create(execution=run, vendor_type=kind)


def make_webhooks(shop: Project) -> None:
    """Two webhooks, and what one of them was told."""
    target = {"type": "http", "address": "https://ci.example.com/hooks/storefront", "payload_format": "Default"}
    ci = WebhookPolicy.objects.create(
        project=shop,
        name="continuous-delivery",
        description="Rolls out what was pushed",
        event_types=["PUSH_ARTIFACT", "DELETE_ARTIFACT", "QUOTA_WARNING", "REPLICATION"],
        targets=[{**target, "auth_header": "Bearer x"}],
    )
    slack = {"type": "slack", "address": "https://hooks.slack.example.com/services/T0/B0"}
    WebhookPolicy.objects.create(
        project=shop, name="chat", enabled=False, event_types=["QUOTA_EXCEED"], targets=[slack]
    )
    now = timezone.now()
    for status in (Status.SUCCESS, Status.ERROR):
        payload = json.dumps({"type": "PUSH_ARTIFACT", "operator": "jonas", "event_data": {"resources": []}})
        told = {"event_type": "PUSH_ARTIFACT", "payload": payload, "address": target["address"]}
        times = {"start_time": now, "end_time": now}
        run = Execution.objects.create(
            vendor_type=WEBHOOK,
            vendor_id=ci.pk,
            trigger=Trigger.EVENT,
            status=status,
            launched=True,
            extra_attrs=told,
            **times,
        )
        task = Task.objects.create(execution=run, vendor_type=WEBHOOK, status=status, run_count=1, **times)
        TaskLog.objects.create(task=task, text="the address answers 200\n")


def make_replication() -> None:
    """Two registries, three rules, and a run that is half done."""
    office = Registry.objects.create(
        name="branch-office", type="harbor", url="https://registry.branch.example.com", access_key="robot$copier",
        credential_type="basic", access_secret="sealed", status=Registry.Status.HEALTHY, description="Serves the plant",
    )  # fmt: skip
    hub = Registry.objects.create(
        name="docker-hub", type="docker-hub", url="https://hub.docker.com", status=Registry.Status.UNHEALTHY
    )
    filters = [{"type": "name", "value": "web-shop/**"}, {"type": "tag", "value": "v*", "decoration": "matches"}]
    rule = ReplicationPolicy.objects.create(
        name="shop-to-branch", dest_registry=office, dest_namespace="mirror/shop", dest_namespace_replace_count=1,
        filters=filters, trigger="scheduled", cron="0 30 2 * * *", speed=2048, description="Every night",
    )  # fmt: skip
    ReplicationPolicy.objects.create(name="base-images", src_registry=hub, enabled=False)
    ReplicationPolicy.objects.create(name="releases", dest_registry=office, trigger="event_based", override=False)
    now = timezone.now()
    run = Execution.objects.create(
        vendor_type=REPLICATION, vendor_id=rule.pk, trigger=Trigger.SCHEDULE, launched=True, start_time=now
    )
    for name, status, done in (
        ("storefront", Status.SUCCESS, 60),
        ("payments/gateway", Status.RUNNING, 25),
        ("charts/storefront", Status.ERROR, 10),
    ):
        attrs = {
            "operation": "copy",
            "resource_type": "artifact",
            "src_resource": f"web-shop/{name} [24 item(s) in total]",
        }
        attrs["dst_resource"] = f"mirror/shop/{name} [24 item(s) in total]"
        message = "503 Service Unavailable" if status == Status.ERROR else ""
        Task.objects.create(
            execution=run, vendor_type=REPLICATION, status=status, status_message=message, extra_attrs=attrs, done=done,
            total=60, start_time=now, end_time=now if status in FINAL else None,
        )  # fmt: skip


def make_garbage(*projects: Project) -> None:
    """What a run of garbage collection would free, and what two runs have freed."""
    past = timezone.now() - timedelta(days=2)
    for number, project in enumerate(projects):
        blob = Blob.objects.create(digest=str(Digest.of(b"garbage %d" % number)), size=(80 + 7 * number) * _MIB)
        both = Blob.objects.get_or_create(digest=str(Digest.of(b"of both")), defaults={"size": 31 * _MIB})[0]
        for held in (blob, both):
            BlobLink.objects.create(project=project, repository_name=f"{project.name}/old", blob=held)
    Blob.objects.update(update_time=past)
    BlobLink.objects.update(update_time=past)
    for dry_run in (True, False):
        how = {"delete_untagged": True, "delete_tag": False, "workers": 3, "dry_run": dry_run}
        run = make_execution(kind=GARBAGE_COLLECTION, extra_attrs=how)
        results = {"purged_manifests": 12, "purged_blobs": 57, "freed_space": 1_843 * _MIB}
        run.tasks.update(extra_attrs={**how, **results})


def make_checks(shop: Project) -> None:
    """What two checks of the storage have found and set aside."""
    damaged = Blob.objects.create(digest=str(Digest.of(b"damaged")), size=9 * _MIB, status=Blob.Status.DAMAGED)
    BlobLink.objects.create(project=shop, repository_name=f"{shop.name}/storefront", blob=damaged)
    for content in (b"damaged", b"stray"):
        keep(content)
        store().set_aside(Digest.of(content))
    for dry_run in (True, False):
        run = make_execution(Status.ERROR, kind=CHECK_STORAGE, extra_attrs={"quick": False, "dry_run": dry_run})
        found = {"blobs": 4_120, "bytes": 61_000 * _MIB, "faults": 2, "healed": 0, "set_aside": 0 if dry_run else 2}
        message = "the storage has faults: the log says which"
        run.tasks.update(extra_attrs={**run.extra_attrs, **found}, status_message=message)


def make_log_rotation() -> None:
    """What a rotation of the audit log has removed."""
    how = {"audit_retention_hour": 720, "include_event_types": "pull_artifact", "dry_run": False}
    run = make_execution(kind=PURGE_AUDIT_LOG, extra_attrs=how)
    run.tasks.update(extra_attrs={**how, "purged": 48_210})


def make_policies(shop: Project) -> None:
    """What a project keeps, with a run, and which of its tags are immutable."""
    everywhere = {"repository": [{"kind": "doublestar", "decoration": "repoMatches", "pattern": "**"}]}

    def tags(pattern: str) -> list[dict[str, str]]:
        return [{"kind": "doublestar", "decoration": "matches", "pattern": pattern}]

    mei = shop.owner
    for template, number, pattern in (("latestPushedK", 10, "**"), ("nDaysSinceLastPull", 30, "{stable,v2.*}")):
        rule = {
            "template": template,
            "params": {template: number},
            "tag_selectors": tags(pattern),
            "scope_selectors": everywhere,
        }
        policy = retention.add_rule(project=shop, rule=rule, actor=mei)
    retention.set_cron(project=shop, cron="0 0 0 * * *", actor=mei)
    for pattern in ("v2.9*", "stable"):
        immutability.create_rule(project=shop, tag_selectors=tags(pattern), scope_selectors=everywhere, actor=mei)
    run = make_execution(kind=RETENTION, vendor_id=policy.pk, extra_attrs={"dry_run": True})
    run.tasks.update(extra_attrs={"repository": "web-shop/storefront", "dry_run": True, "total": 25, "retained": 12})


def make_allowlists(shop: Project) -> None:
    """The system's list, and the stricter configuration of a project with a list of its own."""
    mei = shop.owner
    allowlists.set_allowlist(
        project=None, items=["CVE-2026-1187", "CVE-2026-20934"], expires_at=1_830_297_600, actor=mei
    )
    allowlists.set_allowlist(project=shop, items=["CVE-2025-48174"], expires_at=None, actor=mei)
    settings = {"prevent_vul": "true", "severity": "high", "reuse_sys_cve_allowlist": "false"}
    metadata.change_all(project=shop, values=settings, actor=mei)


def make_scanners() -> None:
    """Two scanners, the second one switched off."""
    finds = {"support_vulnerability": True, "support_sbom": True}
    Scanner.objects.create(
        name="trivy-main", url="https://trivy.example.com", auth="Bearer", credential="sealed", capabilities=finds,
        is_default=True, description="Runs beside the registry",
    )  # fmt: skip
    Scanner.objects.create(
        name="clair", url="http://clair-adapter.example.com:8080", disabled=True, capabilities={"support_sbom": False}
    )


def make_distributions() -> None:
    """Two instances that could preheat."""
    PreheatInstance.objects.create(
        name="branch-peers", vendor="dragonfly", endpoint="https://dragonfly.branch.example.com", auth_mode="OAUTH",
        auth_info="sealed", is_default=True, description="The plant's machines",
    )  # fmt: skip
    PreheatInstance.objects.create(
        name="lab", vendor="kraken", endpoint="http://kraken.lab.example.com:7602", enabled=False
    )


def make_registry() -> User:
    """Everything; returns the administrator."""
    admin = make_user("admin", pk=ADMIN_ID, sysadmin_flag=True, realname="Administrator")
    people = {name: make_user(name) for name in ("mei", "jonas", "aicha", "tom")}
    library = make_project("library", admin, public=True)
    shop = make_project("web-shop", people["mei"], quota=20 * 1024 * _MIB)
    shop.quota.used = 13 * 1024 * _MIB
    shop.quota.save()
    add(shop, people["jonas"], Role.MAINTAINER)
    add(shop, people["aicha"], Role.DEVELOPER)
    add(shop, people["tom"], Role.GUEST)
    add(shop, admin, Role.PROJECT_ADMIN)
    for name, public in (("base-images", True), ("data-platform", False), ("machine-learning", False), ("ops", False)):
        make_project(name, admin, public=public)
    make_artifact(make_repository(library, "hello-world", pull_count=4812), "latest", size=13_256, days=3)
    make_index(make_repository(library, "alpine", pull_count=93_120), "3.22", "3", "latest")
    _fill_shop(shop, people)
    make_execution()
    UserGroup.objects.create(group_name="staff", group_type=UserGroup.Type.LDAP, ldap_group_dn="cn=staff,dc=example")
    make_garbage(shop, library)
    make_checks(shop)
    make_log_rotation()
    make_policies(shop)
    make_allowlists(shop)
    make_scanners()
    make_distributions()
    make_jobs()
    make_replication()
    make_webhooks(shop)
    for days, project in enumerate(Project.objects.order_by("-pk")):
        made = timezone.now() - timedelta(days=17 * days + 2, hours=5 * days)
        Project.objects.filter(pk=project.pk).update(creation_time=made)
    return admin


def hold(repository: Repository, seed: str, size: int, *needed_by: Artifact) -> None:
    """Let a repository hold a blob that these artifacts need; of its bytes there is only the size."""
    blob, _made = Blob.objects.get_or_create(digest=str(Digest.of(seed.encode())), defaults={"size": size})
    BlobLink.objects.get_or_create(project=repository.project, repository_name=repository.name, blob=blob)
    for artifact in needed_by:
        ArtifactReference.objects.create(artifact=artifact, digest=blob.digest)


def _fill_shop(shop: Project, people: dict[str, User]) -> None:
    front = make_repository(
        shop,
        "storefront",
        pull_count=1_204,
        description="The shop as customers see it, built from `main` every night. See the [guide](https://example.com/).",
    )
    for number in range(24):
        tags = [f"v2.{number}.0"] + ([f"v2.{number}"] if number % 3 == 0 else []) + (["latest"] if number == 23 else [])
        make_artifact(
            front, *tags, days=24 - number, size=(40 + number) * _MIB, config=_BUILD if number == 23 else None
        )
    make_artifact(front, seed="untagged", days=30)
    for tag, kinds in (("v2.23.0", ("cosign",)), ("v2.22.0", ("cosign", "notation"))):
        for kind in kinds:
            make_signature(front.artifacts.get(tags__name=tag), kind)
    gateway = make_repository(shop, "payments/gateway", pull_count=311)
    index = make_index(gateway, "1.8.2", "1.8", "stable")
    hold(front, "application", 210 * _MIB, *front.artifacts.all()[:3])
    hold(front, "left over", 61 * _MIB)
    hold(gateway, "gateway", 83 * _MIB, index)
    tool = make_repository(Project.objects.get(name="library"), "base-image")
    hold(tool, "base", 140 * _MIB, make_artifact(tool, "12"))
    hold(front, "base", 140 * _MIB, *front.artifacts.all()[:1])
    for name, description, color in (
        ("production", "Runs for customers", "#C92100"),
        ("staging", "For rehearsals", "#0065AB"),
    ):
        create_label(name=name, description=description, color=color, actor=people["mei"], project=shop)
    create_label(name="golden", description="Others are built from it", color="#A5821A", actor=people["mei"])
    make_robot("ci", grant("web-shop", "repository:pull", "repository:push"), project=shop, description="Builds")
    make_robot("backup", grant("*", "repository:pull"), description="Copies everything every night")
    chart = make_repository(shop, "charts/storefront", pull_count=88)
    make_artifact(
        chart,
        "1.4.0",
        type=media_types.CHART,
        media_type=media_types.HELM_CONFIG,
        size=21_504,
        extra_attrs={"name": "storefront", "version": "1.4.0", "description": "The shop, for Kubernetes"},
    )
    for name, operation, kind, resource in (
        ("mei", Operation.CREATE, ResourceType.PROJECT, "web-shop"),
        ("mei", Operation.CREATE, ResourceType.MEMBER, "jonas"),
        ("jonas", Operation.CREATE, ResourceType.ARTIFACT, "web-shop/storefront:v2.23.0"),
        ("aicha", Operation.PULL, ResourceType.ARTIFACT, "web-shop/storefront:v2.23.0"),
        ("jonas", Operation.DELETE, ResourceType.TAG, "web-shop/storefront:v1.0.0"),
        ("robot$web-shop+ci", Operation.CREATE, ResourceType.ARTIFACT, "web-shop/payments/gateway:1.8.2"),
    ):
        record(actor=name, operation=operation, resource_type=kind, resource=resource, project_id=shop.pk)
