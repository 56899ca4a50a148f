"""Executions (one run of something), their tasks, the tasks' logs, schedules and paused queues."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Status(models.TextChoices):
    """Harbor's job states; the last three are final."""

    PENDING = "Pending", _("Pending")
    RUNNING = "Running", _("Running")
    STOPPED = "Stopped", _("Stopped")
    ERROR = "Error", _("Error")
    SUCCESS = "Success", _("Success")


FINAL = (Status.STOPPED, Status.ERROR, Status.SUCCESS)


class Trigger(models.TextChoices):
    MANUAL = "MANUAL", _("Manual")
    SCHEDULE = "SCHEDULE", _("Scheduled")
    EVENT = "EVENT", _("Event")


class Execution(models.Model):
    """One run of something, made of tasks; its status follows from theirs.

    `launched` says that its tasks have been made: some kinds find out in the background what there is to do.
    """

    vendor_type = models.CharField(_("kind"), max_length=64)
    vendor_id = models.BigIntegerField(_("kind id"), default=0)
    trigger = models.CharField(_("trigger"), max_length=16, choices=Trigger.choices)
    status = models.CharField(_("status"), max_length=16, choices=Status.choices, default=Status.RUNNING)
    status_message = models.CharField(_("status message"), max_length=1024, blank=True)
    extra_attrs = models.JSONField(_("parameters"), default=dict, blank=True)
    launched = models.BooleanField(default=False)
    start_time = models.DateTimeField(_("started"))
    update_time = models.DateTimeField(_("updated"), auto_now=True)
    end_time = models.DateTimeField(_("ended"), null=True, blank=True)

    class Meta:
        ordering = ["-start_time", "-id"]
        indexes = [
            models.Index(fields=["vendor_type", "vendor_id", "-start_time"], name="execution_by_vendor"),
            models.Index(fields=["status"], name="execution_by_status"),
        ]
        verbose_name = _("execution")
        verbose_name_plural = _("executions")

    def __str__(self) -> str:
        return f"{self.vendor_type} {self.pk}"

    @property
    def is_final(self) -> bool:
        return self.status in FINAL


class Task(models.Model):
    """One piece of work of an execution.

    `run_count` counts the claims and fences them: a worker whose lease ran out can no longer write the outcome of
    a task that another one has taken over. `not_before` delays a retry.
    """

    execution = models.ForeignKey(
        Execution, verbose_name=_("execution"), related_name="tasks", on_delete=models.CASCADE
    )
    vendor_type = models.CharField(_("kind"), max_length=64)  # the execution's, so that a queue is one index range
    status = models.CharField(_("status"), max_length=16, choices=Status.choices, default=Status.PENDING)
    status_message = models.CharField(_("status message"), max_length=1024, blank=True)
    extra_attrs = models.JSONField(_("parameters"), default=dict, blank=True)
    run_count = models.PositiveIntegerField(_("runs"), default=0)
    failures = models.PositiveIntegerField(_("failures"), default=0)
    losses = models.PositiveIntegerField(default=0)  # how many workers died while they ran it
    not_before = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(_("worker"), max_length=128, blank=True)
    stop_requested = models.BooleanField(default=False)
    done = models.BigIntegerField(_("done"), default=0)
    total = models.BigIntegerField(_("total"), default=0)
    unit = models.CharField(_("unit"), max_length=16, blank=True)
    creation_time = models.DateTimeField(_("created"), auto_now_add=True)
    start_time = models.DateTimeField(_("started"), null=True, blank=True)
    update_time = models.DateTimeField(_("updated"), auto_now=True)
    end_time = models.DateTimeField(_("ended"), null=True, blank=True)

    class Meta:
        ordering = ["-start_time", "-id"]
        indexes = [models.Index(fields=["status", "vendor_type"], name="task_by_status")]
        verbose_name = _("task")
        verbose_name_plural = _("tasks")

    def __str__(self) -> str:
        return f"{self.vendor_type} {self.pk}"

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    @property
    def remaining_seconds(self) -> int | None:
        """How long it will go on, if the rest goes as fast as what was done; None where that cannot be said."""
        if self.status != Status.RUNNING or not self.start_time or not 0 < self.done <= self.total:
            return None
        elapsed = (timezone.now() - self.start_time).total_seconds()
        return round(elapsed * (self.total - self.done) / self.done)


class TaskLog(models.Model):
    """A few lines of a task's log, in the order of the primary key."""

    task = models.ForeignKey(Task, related_name="log_parts", on_delete=models.CASCADE)
    text = models.TextField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.text[:80]


class Schedule(models.Model):
    """When something is to run again: a 6-field cron in UTC. One per kind and id."""

    vendor_type = models.CharField(_("kind"), max_length=64)
    vendor_id = models.BigIntegerField(_("kind id"), default=0)
    cron_type = models.CharField(_("schedule type"), max_length=16)  # Hourly, Daily, Weekly, Custom
    cron = models.CharField(_("cron"), max_length=64)
    extra_attrs = models.JSONField(_("parameters"), default=dict, blank=True)
    next_time = models.DateTimeField(_("next run"))
    creation_time = models.DateTimeField(_("created"), auto_now_add=True)
    update_time = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        ordering = ["vendor_type", "vendor_id"]
        constraints = [models.UniqueConstraint(fields=["vendor_type", "vendor_id"], name="one_schedule_per_vendor")]
        indexes = [models.Index(fields=["next_time"], name="schedule_by_next_time")]
        verbose_name = _("schedule")
        verbose_name_plural = _("schedules")

    def __str__(self) -> str:
        return f"{self.vendor_type} {self.vendor_id}: {self.cron}"


class PausedQueue(models.Model):
    """A kind whose tasks wait; `SCHEDULER` stands for all schedules, as in Harbor."""

    vendor_type = models.CharField(_("kind"), max_length=64, unique=True)
    since = models.DateTimeField(_("since"), auto_now_add=True)

    class Meta:
        verbose_name = _("paused queue")
        verbose_name_plural = _("paused queues")

    def __str__(self) -> str:
        return self.vendor_type


class Worker(models.Model):
    """A process that runs tasks, by its last heartbeat; the sweep removes the rows of the dead."""

    name = models.CharField(_("name"), max_length=128, unique=True)  # as in Task.worker
    host = models.CharField(_("host"), max_length=255)
    pid = models.PositiveIntegerField(_("process"))
    start_time = models.DateTimeField(_("started"))
    heartbeat = models.DateTimeField(_("heartbeat"))

    class Meta:
        ordering = ["name"]
        verbose_name = _("worker")
        verbose_name_plural = _("workers")

    def __str__(self) -> str:
        return self.name
