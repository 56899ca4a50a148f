"""How a person wants to see the portal; not audited, because nobody else is touched."""

from __future__ import annotations

from projects.models import User


def set_language(*, user: User, language: str) -> None:
    """Keep the language for the next sign-in, on whatever machine."""
    user.language = language
    user.save(update_fields=["language"])
