"""What the registry announces, after the commit and with `send_robust`: no receiver can fail a push.

`artifacts_deleted` alone is sent in the transaction that deletes: what its receivers write is there with it or not at
all, so that no crash loses what is to be told of something that can be asked no more.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from django.db import transaction
from django.dispatch import Signal


class Gone(NamedTuple):
    """An artifact that is no more."""

    digest: str
    tags: tuple[str, ...]


# Each with project_id: int, repository: str, digest: str, username: str, and what is named beside it.
artifact_pushed = Signal()  # artifact_id: int, tags: tuple[str, ...], created: bool
artifact_pulled = Signal()  # artifact_id: int, tag: str

tag_created = Signal()  # repository: str, digest: str, tag: str; a name given to an artifact that was there
tag_deleted = Signal()  # repository: str, digest: str, tag: str
repository_deleted = Signal()  # repository: str, project_id: int

# project_id: int, repository: str, username: str, artifacts: list[Gone], repository_goes: bool
artifacts_deleted = Signal()

# Each with project_id: int and username: str.
quota_exceeded = Signal()  # repository: str, digest: str, tag: str (either may be empty), message: str
retention_done = Signal()  # policy_id, repository, total, retained: int, deleted: list[Candidate], outcome: Status


def announce(signal: Signal, sender: type, **values: Any) -> None:
    """Send `signal` once the current transaction has committed."""
    transaction.on_commit(partial(signal.send_robust, sender=sender, **values))
