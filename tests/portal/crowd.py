"""More rows than the largest page in every list of the portal, with names as long as they may be."""

from __future__ import annotations

from django.utils import timezone

from audit.events import Operation, ResourceType
from audit.models import AuditLog
from harborsite.jobs.kinds import CHECK_STORAGE, GARBAGE_COLLECTION, PURGE_AUDIT_LOG, REPLICATION, RETENTION, WEBHOOK
from harborsite.jobs.models import Execution, Status, Task, TaskLog, Trigger, Worker
from projects.models import Label, Member, Project, Quota, Robot, User, UserGroup, WebhookPolicy
from projects.permissions import Role
from registry.models import ArtifactReference, Blob, Repository, RetentionPolicy, Scanner, Tag
from registry.oci.digest import Digest
from replication.models import PreheatInstance, Registry, ReplicationPolicy
from tests.factories import make_user
from tests.portal.sample import make_artifact, make_index, make_registry, make_signature

MANY = 110
MANY_TAGS = 1_000
_OF_ALL = str(Digest.of(b"the layer that every image has"))
LONG = "a-name-that-somebody-made-from-the-branch-the-ticket-and-the-date-of-the-build"


def make_crowd() -> User:
    """The registry of the pictures, full to the brim; returns the administrator.

    The project `web-shop` has many of everything, its repository `storefront` many artifacts, the newest of them many
    tags.
    """
    admin = make_registry()
    shop = Project.objects.get(name="web-shop")
    _people(shop)
    _projects(admin)
    _images(shop)
    _policies(shop)
    _runs(shop)
    return admin


def _people(shop: Project) -> None:
    encoded = make_user("one-of-many").password
    now = timezone.now()
    User.objects.bulk_create(
        User(username=f"{LONG}-{n}", email=f"{LONG}-{n}@example.com", realname=f"Person {n}", password=encoded)
        for n in range(MANY)
    )
    people = User.objects.filter(username__startswith=LONG)
    Member.objects.bulk_create(Member(project=shop, user=user, role=Role.GUEST) for user in people)
    UserGroup.objects.bulk_create(
        UserGroup(group_name=f"{LONG}-{n}", group_type=UserGroup.Type.LDAP, ldap_group_dn=f"cn={LONG}-{n},dc=example")
        for n in range(MANY)
    )
    for project, scope, level in (
        (None, Label.Scope.GLOBAL, Robot.Level.SYSTEM),
        (shop, Label.Scope.PROJECT, Robot.Level.PROJECT),
    ):
        Label.objects.bulk_create(
            Label(name=f"{LONG}-{n}", color="#0065AB", scope=scope, project=project, space=project.pk if project else 0)
            for n in range(MANY)
        )
        Robot.objects.bulk_create(
            Robot(
                name=f"{shop.name}+{LONG}-{n}" if project else f"{LONG}-{n}", level=level, project=project, secret="-"
            )
            for n in range(MANY)
        )
    AuditLog.objects.bulk_create(
        AuditLog(
            username=f"{LONG}-{n}",
            operation=Operation.CREATE,
            resource_type=ResourceType.ARTIFACT,
            resource=f"{shop.name}/{LONG}/{LONG}:{LONG}-{n}",
            project_id=shop.pk,
            op_time=now,
        )
        for n in range(MANY)
    )


def _projects(owner: User) -> None:
    Project.objects.bulk_create(Project(name=f"{LONG}-{n}", owner=owner) for n in range(MANY))
    Quota.objects.bulk_create(Quota(project=project) for project in Project.objects.filter(name__startswith=LONG))


def _images(shop: Project) -> None:
    Repository.objects.bulk_create(
        Repository(project=shop, name=f"{shop.name}/{LONG}/{LONG}-{n}", description=LONG) for n in range(MANY)
    )
    front = Repository.objects.get(name="web-shop/storefront")
    for number in range(MANY):
        last = make_artifact(front, f"{LONG}-{number}")
    Tag.objects.bulk_create(
        Tag(repository=front, artifact=last, name=f"{LONG}-{n}-of-many", push_time=last.push_time)
        for n in range(MANY_TAGS)
    )
    make_signature(make_index(front, f"{LONG}-for-all"), "cosign")
    own = [Blob(digest=str(Digest.of(b"own %d" % n)), size=n) for n in range(MANY)]
    Blob.objects.bulk_create([*own, Blob(digest=_OF_ALL, size=32)])
    newest = zip(front.artifacts.order_by("-pk")[:MANY], own, strict=True)
    ArtifactReference.objects.bulk_create(
        ArtifactReference(artifact=one, digest=digest) for one, blob in newest for digest in (blob.digest, _OF_ALL)
    )


def _policies(shop: Project) -> None:
    target = {"type": "http", "address": f"https://ci.example.com/{LONG}", "payload_format": "Default"}
    WebhookPolicy.objects.bulk_create(
        WebhookPolicy(project=shop, name=f"{LONG}-{n}", event_types=["PUSH_ARTIFACT"], targets=[target])
        for n in range(MANY)
    )
    Registry.objects.bulk_create(
        Registry(name=f"{LONG[:50]}-{n}", type="harbor", url=f"https://{LONG[:50]}.example.com/{n}")
        for n in range(MANY)
    )
    elsewhere = Registry.objects.get(name="branch-office")
    ReplicationPolicy.objects.bulk_create(
        ReplicationPolicy(name=f"{LONG}-{n}", dest_registry=elsewhere, dest_namespace=LONG) for n in range(MANY)
    )
    Scanner.objects.bulk_create(Scanner(name=f"{LONG}-{n}", url=f"https://{LONG}.example.com/{n}") for n in range(MANY))
    PreheatInstance.objects.bulk_create(
        PreheatInstance(name=f"{LONG[:50]}-{n}", vendor="dragonfly", endpoint=f"https://{LONG}.example.com/{n}")
        for n in range(MANY)
    )


def _runs(shop: Project) -> None:
    """Many runs of each kind, and many tasks in the newest of them."""
    now = timezone.now()
    whose = {
        WEBHOOK: WebhookPolicy.objects.get(project=shop, name="continuous-delivery").pk,
        RETENTION: RetentionPolicy.objects.get(project=shop).pk,
        REPLICATION: ReplicationPolicy.objects.get(name="shop-to-branch").pk,
        GARBAGE_COLLECTION: 0,
        PURGE_AUDIT_LOG: 0,
        CHECK_STORAGE: 0,
    }
    for kind, vendor_id in whose.items():
        runs = [
            Execution(
                vendor_type=kind,
                vendor_id=vendor_id,
                trigger=Trigger.MANUAL,
                status=Status.SUCCESS,
                launched=True,
                start_time=now,
                end_time=now,
                extra_attrs={"event_type": "PUSH_ARTIFACT"} if kind == WEBHOOK else {},
            )
            for _ in range(MANY)
        ]
        Execution.objects.bulk_create(runs)
        newest = Execution.objects.filter(vendor_type=kind, vendor_id=vendor_id).latest("pk")
        for run in Execution.objects.filter(vendor_type=kind, vendor_id=vendor_id, tasks=None):
            count = MANY if run == newest else 1
            Task.objects.bulk_create(
                Task(execution=run, vendor_type=kind, status=Status.SUCCESS, start_time=now, end_time=now)
                for _ in range(count)
            )
        TaskLog.objects.bulk_create(TaskLog(task=task, text=f"{LONG}\n") for task in newest.tasks.all())
    Worker.objects.bulk_create(
        Worker(name=f"registry:{n}", host="registry", pid=n, start_time=now, heartbeat=now) for n in range(1, 30)
    )
