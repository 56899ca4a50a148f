"""How a person wants to see the portal; not audited, because nobody else is touched."""

from __future__ import annotations

from projects.models import User

KEPT = ("language", "theme", "time_format", "pull_client")
OF_A_LIST = ("hidden", "size", "cards")


def keep(*, user: User, **chosen: str) -> None:
    """Keep some of KEPT for every sign-in, on whatever machine."""
    unknown = chosen.keys() - set(KEPT)
    if unknown:
        raise TypeError(f"no preference: {', '.join(sorted(unknown))}")
    for name, value in chosen.items():
        setattr(user, name, value)
    user.save(update_fields=list(chosen))


def keep_list(*, user: User, page: str, **looks: object) -> None:
    """From now on the list `page` is shown to them so: `hidden` columns, `size` of a page, as `cards`."""
    unknown = looks.keys() - set(OF_A_LIST)
    if unknown:
        raise TypeError(f"no look of a list: {', '.join(sorted(unknown))}")
    user.lists = {**user.lists, page: {**user.lists.get(page, {}), **looks}}
    user.save(update_fields=["lists"])
