"""How a person wants to see the portal; not audited, because nobody else is touched."""

from __future__ import annotations

from collections.abc import Sequence

from projects.models import User

KEPT = ("language", "theme", "time_format", "pull_client")


def keep(*, user: User, **chosen: str) -> None:
    """Keep some of KEPT for every sign-in, on whatever machine."""
    unknown = chosen.keys() - set(KEPT)
    if unknown:
        raise TypeError(f"no preference: {', '.join(sorted(unknown))}")
    for name, value in chosen.items():
        setattr(user, name, value)
    user.save(update_fields=list(chosen))


def hide_columns(*, user: User, page: str, columns: Sequence[str]) -> None:
    """From now on the list `page` is shown to them without these columns."""
    user.hidden_columns = {**user.hidden_columns, page: list(columns)}
    user.save(update_fields=["hidden_columns"])
