"""Addresses and labels of repositories and artifacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _

from harborsite.errors import AppError
from harborsite.portal.templatetags.portal import short_digest
from registry import clientlines
from registry.errors import ReferencedByOthers, TagExists
from registry.models import Artifact, ArtifactChild, Repository, Tag
from registry.oci import media_types
from registry.policies.immutability import TagImmutable

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

KINDS = {
    "IMAGE": _("Image"),
    "CHART": _("Helm chart"),
    "CNAB": _("CNAB bundle"),
    "WASM": _("WASM module"),
    "SBOM": _("SBOM"),
    "CNAI": _("AI model"),
    "UNKNOWN": _("Other"),
}

_ATTRIBUTES = {
    "architecture": _("Architecture"),
    "author": _("Author"),
    "created": _("Created"),
    "description": _("Description"),
    "name": _("Name"),
    "os": _("Operating system"),
    "version": _("Version"),
}
_REASONS: Mapping[type[AppError], _StrPromise] = {
    ReferencedByOthers: _("An index still lists it: delete the index first."),
    TagImmutable: _("An immutable tag can be neither moved nor deleted; its artifact and its repository stay as well."),
    TagExists: _("The repository has a tag of this name already."),
}


def explain(error: AppError) -> str:
    """Why the registry refused, for people: its own messages are for clients, and English."""
    return str(_REASONS.get(type(error), error.message))


def repository_url(repository: Repository, view: str = "repository") -> str:
    project, _slash, short = repository.name.partition("/")
    return reverse(f"admin:{view}", args=[project, short])


def artifact_url(repository_name: str, digest: str, view: str = "artifact") -> str:
    project, _slash, short = repository_name.partition("/")
    return reverse(f"admin:{view}", args=[project, short, digest])


def listed_artifacts(rows: QuerySet[Artifact]) -> QuerySet[Artifact]:
    """What a list shows: no accessories, and of an index's parts only those with a tag of their own."""
    part_of_an_index = ArtifactChild.objects.filter(
        digest=OuterRef("digest"), artifact__repository=OuterRef("repository")
    )
    tagged = Tag.objects.filter(artifact=OuterRef("pk"))
    return rows.filter(Q(accessory_type=""), Exists(tagged) | ~Exists(part_of_an_index))  # what most are comes first


def kind_label(artifact: Artifact) -> str:
    """What people call the kind of artifact; kinds that came with the artifact itself keep their own name."""
    return str(KINDS.get(artifact.type, artifact.type))


def platform_label(attributes: dict[str, Any]) -> str:
    """`linux/arm64/v8`, as far as it is known."""
    parts = [attributes.get(key) for key in ("os", "architecture", "variant")]
    return "/".join(str(part) for part in parts if part)


def first_pull_line(artifact: Artifact, tags: Sequence[str], client: str) -> str:
    """By digest, which stays what it is; a chart has none but by its tag."""
    named = tags[0] if tags and artifact.type == media_types.CHART else artifact.digest
    return clientlines.pull(artifact.repository.name, named, artifact.type, first=client)[0][1]


def copy_buttons(digest: str, pull_line: str) -> str:
    """What one takes along from a row of the list."""
    return format_html_join(
        " ",
        '<button type="button" class="copy" data-copy="{}" data-done="{}" aria-label="{}: {}">{}</button>',
        (
            (text, _("Copied"), copies, short_digest(digest), label)
            for text, label, copies in (
                (digest, _("Digest"), _("Copy digest")),
                (pull_line, _("Pull"), _("Copy pull command")),
            )
        ),
    )


def plain_pairs(attributes: dict[str, Any]) -> list[tuple[str, str]]:
    """The attributes that are plain values; nested ones are in the manifest."""
    plain = {key: str(value) for key, value in attributes.items() if isinstance(value, str | int | float) and value}
    return [(str(_ATTRIBUTES.get(key, key)), value) for key, value in sorted(plain.items())]
