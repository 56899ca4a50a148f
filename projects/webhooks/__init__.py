"""Telling other systems what happens in a project: policies, and deliveries that are tried again."""

from projects.webhooks.events import Event, notify
from projects.webhooks.many import notify_of_many

__all__ = ["Event", "notify", "notify_of_many"]
