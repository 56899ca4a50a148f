"""Telling other systems what happens in a project: policies, and deliveries that are tried again."""

from projects.webhooks.events import Event, notify

__all__ = ["Event", "notify"]
