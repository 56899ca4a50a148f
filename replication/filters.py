"""Which repositories, artifacts and tags a policy means."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from harborsite.errors import BadRequest
from registry.oci import doublestar, grammar

NAME, TAG, LABEL, RESOURCE = "name", "tag", "label", "resource"
MATCHES, EXCLUDES = "matches", "excludes"
IMAGE, ARTIFACT = "image", "artifact"
_MAX_LENGTH = 1024
_WILDCARDS = re.compile(r"[*?\[{\\]")


def checked(filters: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The filters in the form that is stored, or BadRequest: `{type, value, decoration}` as on the wire."""
    found: list[dict[str, Any]] = []
    for given in filters:
        kind, value, decoration = given.get("type"), given.get("value"), given.get("decoration") or ""
        if kind not in {NAME, TAG, LABEL, RESOURCE}:
            raise BadRequest(_("invalid filter type"))
        if decoration not in {"", MATCHES, EXCLUDES} or (decoration and kind not in {TAG, LABEL}):
            raise BadRequest(_("invalid filter decoration"))
        _check_value(str(kind), value)
        stored = {"type": kind, "value": value}
        found.append(stored | {"decoration": decoration} if decoration else stored)
    return found


def _check_value(kind: str, value: object) -> None:
    if kind == LABEL:
        if not (isinstance(value, list) and all(isinstance(name, str) and name for name in value)):
            raise BadRequest(_("the type of label filter value isn't string slice"))
        return
    if not isinstance(value, str):
        raise BadRequest(_("the type of filter value isn't string"))
    if kind == RESOURCE and value not in {"", IMAGE, ARTIFACT}:
        raise BadRequest(_("invalid resource filter: {value}").format(value=value[:100]))
    if kind in {NAME, TAG}:
        _check_pattern(value)
    if kind == NAME:
        _check_names(value)


def _check_pattern(pattern: str) -> None:
    """Refuse a pattern whose brackets do not pair: it would silently match nothing."""
    plain = re.sub(r"\\.", "", pattern)
    bare = re.sub(r"\[[^\]]+\]", "", plain)
    depth = 0
    for char in bare:
        depth += {"{": 1, "}": -1}.get(char, 0)
        if depth < 0:
            break
    if depth or "[" in bare or plain.endswith("\\") or len(pattern) > _MAX_LENGTH:
        raise BadRequest(_("the pattern {pattern} cannot be read").format(pattern=pattern[:100]))
    expand_braces(pattern)


def _check_names(pattern: str) -> None:
    """Refuse what is written in full and can be no repository: a tag with it, capitals, the address of a server."""
    for name in expand_braces(pattern):
        if name and not _WILDCARDS.search(name) and not grammar.is_repository_name(name):
            message = _("no repository is called {name}: names are in small letters, without server and tag")
            raise BadRequest(message.format(name=name[:100]))


@dataclass(frozen=True, slots=True)
class Candidate:
    """An artifact as the source lists it. `digest` is empty where only asking for the tag tells it."""

    digest: str
    tags: tuple[str, ...] = ()
    labels: frozenset[str] = frozenset()
    type: str = ""  # IMAGE, CHART, …; empty where the source does not say


class Filters:
    """A policy's filters, ready to judge what a source lists."""

    def __init__(self, filters: Sequence[Mapping[str, Any]]) -> None:
        self._names = [str(each["value"]) for each in filters if each["type"] == NAME and each["value"]]
        self._tags: list[tuple[str, bool]] = []
        self._labels: list[tuple[frozenset[str], bool]] = []
        self.resource = ""
        for each in filters:
            excludes = each.get("decoration") == EXCLUDES
            if each["type"] == TAG and each["value"]:
                self._tags.append((str(each["value"]), excludes))
            elif each["type"] == LABEL and each["value"]:
                self._labels.append((frozenset(each["value"]), excludes))
            elif each["type"] == RESOURCE:
                self.resource = str(each["value"])

    @property
    def by_label(self) -> bool:
        return bool(self._labels)

    def means_repository(self, name: str) -> bool:
        return all(doublestar.matches(pattern, name) for pattern in self._names)

    def literal_names(self) -> list[str] | None:
        """The repositories that are named in full, None if a name filter has wildcards or there is none."""
        names: set[str] | None = None
        for pattern in self._names:
            alternatives = expand_braces(pattern)
            if any(_WILDCARDS.search(name) for name in alternatives):
                continue
            names = set(alternatives) if names is None else names & set(alternatives)
        return None if names is None else sorted(names)

    def name_prefixes(self) -> list[str]:
        """What all repositories meant begin with, one of these; `[""]` says nothing."""
        if not self._names:
            return [""]
        return sorted({_WILDCARDS.split(name, maxsplit=1)[0] for name in expand_braces(self._names[0])})

    def means_tag(self, tag: str) -> bool:
        """The empty tag stands for "no tag"."""
        return all(doublestar.matches(pattern, tag) != excludes for pattern, excludes in self._tags)

    def select(self, found: Candidate) -> Candidate | None:
        """The candidate with those of its tags that are meant; None if nothing of it is."""
        if self.resource == IMAGE and found.type not in {"", "IMAGE"}:
            return None
        if not all((labels <= found.labels) != excludes for labels, excludes in self._labels):
            return None
        if not found.tags:
            return found if self.means_tag("") else None
        tags = tuple(tag for tag in found.tags if self.means_tag(tag))
        return Candidate(found.digest, tags, found.labels, found.type) if tags else None


def expand_braces(pattern: str) -> list[str]:
    """`{a,b}/c` as `a/c` and `b/c`; raises BadRequest for more alternatives than are matched."""
    found, complete = doublestar.alternatives(pattern)
    if not complete:
        raise BadRequest(_("the pattern {pattern} has too many alternatives").format(pattern=pattern[:100]))
    return sorted(set(found))
