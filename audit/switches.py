"""What becomes of a record, as an administrator has set it. The settings are kept to the right of this app."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Switches:
    """`destination` is `udp://host:port` or `tcp://host:port` of a collector, or empty; `disabled` names event types.

    Records that are forwarded need not be kept here as well. `checked` says that the collector's address has to be one
    that the server may call: it was set through the server itself, and not in harbor.cfg.
    """

    destination: str = ""
    checked: bool = True
    keep: bool = True
    disabled: frozenset[str] = frozenset()


_read: Callable[[], Switches] = Switches


def follow(read: Callable[[], Switches]) -> None:
    """Ask `read` from now on; it is asked for every record."""
    global _read
    _read = read


def now() -> Switches:
    return _read()
