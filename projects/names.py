"""What projects and people may be called."""

from __future__ import annotations

import re
from typing import Final

MAX_LENGTH: Final = 255
_PROJECT_NAME: Final = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_ROBOT_NAME: Final = _PROJECT_NAME
NOT_IN_USER_NAMES: Final = frozenset(',"~#%$')


def is_project_name(text: str) -> bool:
    return len(text) <= MAX_LENGTH and _PROJECT_NAME.fullmatch(text) is not None


def is_robot_name(text: str) -> bool:
    """Whether a robot account may have this name, which is without prefix and project."""
    return len(text) <= MAX_LENGTH and _ROBOT_NAME.fullmatch(text) is not None


def has_illegal_characters(text: str) -> bool:
    """Whether a user name or full name holds what would break lists, queries or the robots' name space."""
    return any(char in NOT_IN_USER_NAMES or not char.isprintable() for char in text)
