"""Sessions in the database, as Django keeps them; reading one, which every request does, is a prepared statement."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.utils import timezone

from harborsite.db.prepared import prepared


@prepared
def _living(key: str, now: datetime) -> QuerySet[Session, tuple[str]]:
    return Session.objects.order_by().filter(session_key=key, expire_date__gt=now).values_list("session_data")


class SessionStore(DatabaseStore):
    """The engine of settings.SESSION_ENGINE."""

    def load(self) -> dict[str, Any]:
        """Django's own way is taken where there is none: it starts a new one and logs what is suspicious."""
        rows = _living(self.session_key, timezone.now()) if self.session_key else ()
        return self.decode(rows[0][0]) if rows else super().load()
