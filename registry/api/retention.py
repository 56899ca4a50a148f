"""Tag retention: what there is to choose from, policies, and their runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict, cast

from django.utils import timezone
from rest_framework.request import Request

from harborsite.api import body
from harborsite.api.answers import Answer, Created, Done, Paged, Text, Time
from harborsite.api.paging import paged, paged_list
from harborsite.api.wire import stamp, stamp_seconds, without_empty
from harborsite.errors import BadRequest, NotFound
from harborsite.jobs import engine
from harborsite.jobs.kinds import RETENTION
from harborsite.jobs.models import Execution, Status, Task
from projects.api.base import SIGNED_IN, ApiView, require
from projects.models import Project
from registry.models import Repository, RetentionPolicy
from registry.policies import judgement, retention
from registry.policies.judgement import Judgement, Verdict

_STATUS_CODES = {Status.PENDING: 0, Status.RUNNING: 2}


@dataclass(frozen=True, slots=True)
class Scope:
    level: str = ""
    ref: int = 0


@dataclass(frozen=True, slots=True)
class Trigger:
    kind: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def cron(self) -> str:
        cron = self.settings.get("cron") or ""
        return cron if isinstance(cron, str) else ""


@dataclass(frozen=True, slots=True)
class SelectorShape:
    kind: str = ""
    decoration: str = ""
    pattern: str = ""
    extras: str = ""

    def as_dict(self) -> dict[str, str]:
        return {
            "kind": self.kind,
            "decoration": self.decoration,
            "pattern": self.pattern,
            "extras": self.extras,
        }


@dataclass(frozen=True, slots=True)
class RuleShape:
    disabled: bool = False
    template: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    tag_selectors: list[SelectorShape] = field(default_factory=list)
    scope_selectors: dict[str, list[SelectorShape]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {
            "disabled": self.disabled,
            "template": self.template,
            "params": self.params,
            "tag_selectors": [selector.as_dict() for selector in self.tag_selectors],
            "scope_selectors": {
                key: [selector.as_dict() for selector in each] for key, each in self.scope_selectors.items()
            },
        }


@dataclass(frozen=True, slots=True)
class PolicyShape:
    scope: Scope = Scope()
    trigger: Trigger = Trigger()
    rules: list[RuleShape] = field(default_factory=list)

    @property
    def plain_rules(self) -> list[dict[str, Any]]:
        return [rule.as_dict() for rule in self.rules]


@dataclass(frozen=True, slots=True)
class RunRequest:
    """`ignore_limit` is not Harbor's: a run may then delete any share of what there is."""

    dry_run: bool = False
    ignore_limit: bool = False


@dataclass(frozen=True, slots=True)
class ActionRequest:
    action: str = ""


class ShownSelector(TypedDict):
    kind: str
    decoration: str
    pattern: str
    extras: NotRequired[str]


class ShownRule(TypedDict):
    id: NotRequired[int]
    priority: NotRequired[int]
    disabled: NotRequired[bool]
    action: str
    template: str
    params: dict[str, Any]
    tag_selectors: list[ShownSelector]
    scope_selectors: dict[str, list[ShownSelector]]


class ShownTrigger(TypedDict):
    """Its settings are `cron`, and when it runs next where it does."""

    kind: str
    settings: dict[str, str]


class ShownScope(TypedDict):
    level: str
    ref: int


class ShownRetention(TypedDict):
    id: int
    algorithm: str
    rules: list[ShownRule]
    trigger: ShownTrigger
    scope: ShownScope


class ShownExecution(TypedDict):
    id: int
    policy_id: int
    start_time: Time
    end_time: Time
    status: str
    trigger: str
    dry_run: bool


class ShownTask(TypedDict):
    id: int
    execution_id: int
    repository: str
    job_id: str
    status: str
    status_code: int
    status_revision: int
    start_time: Time
    end_time: Time
    total: int
    retained: int


class ShownJudgement(TypedDict):
    digest: str
    tags: list[str]
    retention: str
    rules: list[int]
    immutable_tags: list[str]
    reason: str


class ShownPreview(TypedDict):
    repository: str
    total: int
    retained: int
    artifacts: list[ShownJudgement]


class Parameter(TypedDict):
    type: str
    unit: str
    required: bool


class Template(TypedDict):
    rule_template: str
    display_text: str
    action: str
    params: list[Parameter]


class Selectors(TypedDict):
    display_text: str
    kind: str
    decorations: list[str]


class RetentionMetadata(TypedDict):
    templates: list[Template]
    scope_selectors: list[Selectors]
    tag_selectors: list[Selectors]


def render(policy: RetentionPolicy) -> ShownRetention:
    settings = {"cron": policy.cron}
    if next_run := retention.next_run(policy):
        settings["next_scheduled_time"] = stamp(next_run)
    return {
        "id": policy.pk,
        "algorithm": "or",
        "rules": [_render_rule(rule) for rule in policy.rules],
        "trigger": {"kind": "Schedule", "settings": settings},
        "scope": {"level": "project", "ref": policy.project_id},
    }


def _render_rule(rule: Mapping[str, Any]) -> ShownRule:
    return cast(ShownRule, without_empty(dict(rule), "disabled"))  # kept as it is shown


def render_execution(execution: Execution) -> ShownExecution:
    return {
        "id": execution.pk,
        "policy_id": execution.vendor_id,
        "start_time": stamp_seconds(execution.start_time),
        "end_time": stamp_seconds(execution.end_time),
        "status": execution.status,
        "trigger": execution.trigger,
        "dry_run": bool(execution.extra_attrs.get("dry_run")),
    }


def render_task(task: Task) -> ShownTask:
    return {
        "id": task.pk,
        "execution_id": task.execution_id,
        "repository": str(task.extra_attrs.get("repository", "")),
        "job_id": str(task.pk),
        "status": task.status,
        "status_code": _STATUS_CODES.get(Status(task.status), 3),
        "status_revision": task.run_count,
        "start_time": stamp_seconds(task.start_time),
        "end_time": stamp_seconds(task.end_time),
        "total": task.extra_attrs.get("total", 0),
        "retained": task.extra_attrs.get("retained", 0),
    }


class RetentionMetadataView(ApiView):
    actions = {"GET": SIGNED_IN}

    def get(self, request: Request) -> Answer[RetentionMetadata]:
        texts = {
            "latestPushedK": ("the most recently pushed # artifacts", "COUNT"),
            "latestPulledN": ("the most recently pulled # artifacts", "COUNT"),
            "nDaysSinceLastPush": ("pushed within the last # days", "DAYS"),
            "nDaysSinceLastPull": ("pulled within the last # days", "DAYS"),
            "always": ("always", ""),
        }
        templates: list[Template] = [
            {
                "rule_template": name,
                "display_text": text,
                "action": "retain",
                "params": [{"type": "int", "unit": unit, "required": True}] if unit else [],
            }
            for name, (text, unit) in texts.items()
        ]
        return Answer(
            {
                "templates": templates,
                "scope_selectors": [_selector("Repositories", "repoMatches", "repoExcludes")],
                "tag_selectors": [_selector("Tags", "matches", "excludes")],
            }
        )


def _selector(text: str, *decorations: str) -> Selectors:
    return {"display_text": text, "kind": "doublestar", "decorations": list(decorations)}


class RetentionBase(ApiView):
    """The policy is found first, then its project is asked whether the caller may."""

    actions = {"GET": SIGNED_IN, "POST": SIGNED_IN, "PUT": SIGNED_IN, "PATCH": SIGNED_IN, "DELETE": SIGNED_IN}

    def policy(self, verb: str) -> RetentionPolicy:
        given = self.kwargs["id"]
        policy = RetentionPolicy.objects.select_related("project").filter(pk=given).first()
        if policy is None:
            self.missing(given)
            raise NotFound(f"the retention policy id {given} does not match")
        require(self.who, f"tag-retention:{verb}", policy.project)
        return policy

    def missing(self, policy_id: int) -> None:
        """What else to say of a policy that is not there."""

    def execution(self, verb: str) -> Execution:
        """Only among the runs of this policy, whatever the number says."""
        policy, given = self.policy(verb), self.kwargs["eid"]
        rows = Execution.objects.filter(vendor_type=RETENTION, vendor_id=policy.pk)
        execution = rows.filter(pk=given).first()
        if execution is None:
            raise NotFound(f"execution {given} not found")
        return execution


class RetentionsView(ApiView):
    actions = {"POST": SIGNED_IN}

    def post(self, request: Request) -> Created:
        new = body.read(request, PolicyShape)
        if new.scope.level != "project":
            raise BadRequest(f"invalid scope level {new.scope.level[:100]}")
        project = Project.objects.filter(pk=new.scope.ref).first()
        if project is None:
            raise BadRequest(f"invalid Project id {new.scope.ref}")
        require(self.who, "tag-retention:create", project)
        policy = retention.create_policy(project=project, rules=new.plain_rules, cron=new.trigger.cron, actor=self.who)
        return Created(f"/api/v2.0/retentions/{policy.pk}")


class RetentionView(RetentionBase):
    def get(self, request: Request, id: int) -> Answer[ShownRetention]:
        return Answer(render(self.policy("read")))

    def put(self, request: Request, id: int) -> Done:
        policy, new = self.policy("update"), body.read(request, PolicyShape)
        if new.scope.ref not in {0, policy.project_id}:
            raise BadRequest("the project of a retention policy does not change")
        retention.update_policy(policy=policy, rules=new.plain_rules, cron=new.trigger.cron, actor=self.who)
        return Done()

    def delete(self, request: Request, id: int) -> Done:
        retention.delete_policy(policy=self.policy("delete"), actor=self.who)
        return Done()

    def missing(self, policy_id: int) -> None:
        if self.request.method == "DELETE":
            raise BadRequest(f"no such Retention policy with id {policy_id}")


class RetentionPreviewView(RetentionBase):
    """What a run would do now with every artifact, and why, a page of repositories at a time; not in Harbor."""

    def get(self, request: Request, id: int) -> Paged[ShownPreview]:
        policy, now = self.policy("read"), timezone.now()

        def render(found: Sequence[Repository]) -> list[ShownPreview]:
            return [self._render(repository, judgement.judge(policy, repository, now)) for repository in found]

        return paged_list(request, judgement.repositories(policy), render)

    def _render(self, repository: Repository, judged: Sequence[Judgement]) -> ShownPreview:
        return {
            "repository": repository.name,
            "total": len(judged),
            "retained": sum(each.verdict != Verdict.DELETE for each in judged),
            "artifacts": [
                {
                    "digest": each.candidate.digest,
                    "tags": list(each.candidate.tags),
                    "retention": each.verdict,
                    "rules": list(each.rules),
                    "immutable_tags": list(each.immutable),
                    "reason": each.reason,
                }
                for each in judged
            ],
        }


class RetentionExecutionsView(RetentionBase):
    def get(self, request: Request, id: int) -> Paged[ShownExecution]:
        rows = Execution.objects.filter(vendor_type=RETENTION, vendor_id=self.policy("read").pk)
        rows = rows.order_by("-start_time", "-pk")
        return paged(request, rows, lambda found: [render_execution(each) for each in found], default_size=0)

    def post(self, request: Request, id: int) -> Created:
        policy = self.policy("update")
        wanted = body.read(request, RunRequest)
        execution = retention.start(
            policy=policy, dry_run=wanted.dry_run, ignore_limit=wanted.ignore_limit, actor=self.who
        )
        return Created(f"/api/v2.0/retentions/{policy.pk}/executions/{execution.pk}")


class RetentionExecutionView(RetentionBase):
    def patch(self, request: Request, id: int, eid: int) -> Done:
        execution = self.execution("update")
        if body.read(request, ActionRequest).action != "stop":
            raise BadRequest("the action can only be stop")
        engine.stop(execution=execution, actor=self.who)
        return Done()


class RetentionTasksView(RetentionBase):
    def get(self, request: Request, id: int, eid: int) -> Paged[ShownTask]:
        rows = Task.objects.filter(execution=self.execution("read")).order_by("-start_time", "-pk")
        return paged(request, rows, lambda found: [render_task(each) for each in found], default_size=0)


class RetentionTaskLogView(RetentionBase):
    def get(self, request: Request, id: int, eid: int, tid: int) -> Text:
        task = Task.objects.filter(execution=self.execution("read"), pk=tid).first()
        if task is None:
            raise NotFound(f"task {tid} not found")
        return Text("".join(part.text for part in task.log_parts.all()))
