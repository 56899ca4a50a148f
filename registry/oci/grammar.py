"""What is a valid project, repository, tag or reference; URLs, serializers and validators read it here.

The fragments have neither anchors nor capturing groups, so that patterns can be built from them; the
functions judge a whole string, its length included.
"""

import re
from typing import Final

from registry.oci.digest import Digest
from registry.oci.text import excerpt

PROJECT_NAME: Final = r"[a-z0-9]+(?:[._-][a-z0-9]+)*"
PATH_COMPONENT: Final = r"[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*"
REPOSITORY_NAME: Final = rf"{PATH_COMPONENT}(?:/{PATH_COMPONENT})*"
TAG: Final = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"
DIGEST: Final = r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})"

MAX_NAME_LENGTH: Final = 255
MAX_TAG_LENGTH: Final = 128

_PROJECT_NAME = re.compile(PROJECT_NAME)
_REPOSITORY_NAME = re.compile(REPOSITORY_NAME)
_TAG = re.compile(TAG)


class GrammarError(ValueError):
    """The text is no valid name of its kind."""


def is_project_name(text: str) -> bool:
    return len(text) <= MAX_NAME_LENGTH and _PROJECT_NAME.fullmatch(text) is not None


def is_repository_name(text: str) -> bool:
    """Whether `text` is a full name of distribution's grammar; it may still lack the project part."""
    return len(text) <= MAX_NAME_LENGTH and _REPOSITORY_NAME.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    return _TAG.fullmatch(text) is not None


def split_repository(full_name: str) -> tuple[str, str]:
    """The project and the rest of a full repository name: `library/a/b` is `a/b` of `library`."""
    if not is_repository_name(full_name):
        raise GrammarError(f"invalid repository name {excerpt(full_name)}")
    project, slash, rest = full_name.partition("/")
    if not slash:
        raise GrammarError(f"repository name {excerpt(full_name)} names no project")
    return project, rest


def parse_reference(text: str) -> Digest | str:
    """The digest or the tag that `text` is. No tag holds a colon, so a bad digest raises DigestError."""
    if ":" in text:
        return Digest.parse(text)
    if not is_tag(text):
        raise GrammarError(f"invalid tag {excerpt(text)}")
    return text
