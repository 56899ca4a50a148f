"""Harbor, or another Harborsite: listed with types and labels, its projects made as needed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlencode

from django.utils.translation import gettext as _

from harborsite.outbound import OutboundError
from registry.oci import grammar
from registry.oci.digest import Digest, DigestError
from replication.adapters import lists
from replication.adapters.base import Listing
from replication.adapters.distribution import Distribution
from replication.errors import ProxyCacheTarget
from replication.filters import Candidate, Filters

_PAGE = 100
_LISTED_AT_ONCE = 4  # repositories


class Harbor(Distribution):
    """Reads and writes artifacts as any registry does; for the rest it asks the REST API."""

    _version = ""

    def check(self) -> None:
        super().check()
        self._base()

    def label_names(self) -> list[str]:
        return [_name(label, "/labels") for label in self._all("/labels", scope="g")]

    # --- reading

    def listings(self, filters: Filters) -> Iterator[Listing]:
        public: dict[str, bool] = {}
        names: list[str] = []
        for project in self._projects(filters):
            name = _name(project, "/projects")
            if not grammar.is_project_name(name):
                continue
            path = f"/projects/{quote(name, safe='')}/repositories"
            public[name] = _checked(project.get("metadata") or {}, "/projects").get("public") == "true"
            found = [_name(row, path) for row in self._all(path)]
            names += [each for each in found if _is_of(name, each) and filters.means_repository(each)]
        with ThreadPoolExecutor(_LISTED_AT_ONCE) as crew:
            listed = crew.map(lambda name: self._listing(name, filters, self.candidates(name)), names)
            for listing in listed:
                yield Listing(listing.name, listing.artifacts, public[listing.name.partition("/")[0]])

    def candidates(self, repository: str) -> Iterable[Candidate]:
        options = {"with_tag": "true", "with_label": "true", "with_accessory": "true"}
        path = f"{_repository_path(repository)}/artifacts"
        for row in self._all(path, **options):
            tags = [_name(tag, path) for tag in _rows(row.get("tags") or [], path)]
            labels = [_name(label, path) for label in _rows(row.get("labels") or [], path)]
            yield Candidate(
                digest=_digest(row, path),
                tags=tuple(tag for tag in tags if grammar.is_tag(tag)),
                labels=frozenset(labels),
                type=str(row.get("type") or ""),
            )

    def _projects(self, filters: Filters) -> Iterator[dict[str, Any]]:
        """All, or only those that a name filter can mean; with details, for whether they are public is one."""
        prefixes = filters.name_prefixes()
        if all("/" in prefix for prefix in prefixes):
            names = sorted({prefix.partition("/")[0] for prefix in prefixes})
            wanted = " ".join(f"'{name}'" for name in names)
            return self._all("/projects", q=f"name={{{wanted}}}")
        return self._all("/projects")

    # --- writing

    def prepare(self, repository: str, *, public: bool) -> None:
        """Make the project if it is not there; who may push but not make projects finds that out by pushing."""
        project = repository.partition("/")[0]
        question = f"{self._base()}/projects?{urlencode({'project_name': project})}"
        with self.session.api("HEAD", question, accept=(200, 401, 403, 404)) as answer:
            is_there = answer.status != 404
        if is_there:
            self._require_no_proxy_cache(project)
            return
        wanted = {"project_name": project, "metadata": {"public": "true" if public else "false"}}
        self.session.api(
            "POST", f"{self._base()}/projects", json=json.dumps(wanted).encode(), accept=(201, 409)
        ).close()

    def _require_no_proxy_cache(self, project: str) -> None:
        question = urlencode({"q": f"name={project}", "with_detail": "false"})
        with self.session.api("GET", f"{self._base()}/projects?{question}", accept=(200, 401, 403)) as answer:
            found = answer.json() if answer.status == 200 else []
        for row in found if isinstance(found, list) else []:
            if isinstance(row, dict) and row.get("name") == project and row.get("registry_id"):
                message = _("the project {name} of the target is a proxy cache, which takes no copies: left out")
                raise ProxyCacheTarget(message.format(name=project))

    def mount_source(self, digest: Digest) -> str | None:
        """A Harborsite finds a source by itself if it is told none."""
        return super().mount_source(digest) or ""

    def delete_artifact(self, repository: str, digest: Digest) -> None:
        path = f"{self._base()}{_repository_path(repository)}/artifacts/{digest}"
        self.session.api("DELETE", path, accept=(200, 404)).close()

    def delete_tag(self, repository: str, tag: str) -> None:
        path = f"{self._base()}{_repository_path(repository)}/artifacts/{tag}/tags/{tag}"
        self.session.api("DELETE", path, accept=(200, 404)).close()

    # --- the REST API

    def _base(self) -> str:
        """`/api/v2.0`; the version is asked for once, as Harbor's own clients do."""
        if not self._version:
            with self.session.api("GET", "/api/version", accept=(200, 404), signed=False) as answer:
                document = answer.json() if answer.status == 200 else {}
            version = document.get("version") if isinstance(document, dict) else None
            if version != "v2.0":
                raise OutboundError(_("{url} is no Harbor of version 2").format(url=self.registry.url))
            self._version = version
        return f"/api/{self._version}"

    def _all(self, path: str, **parameters: str) -> Iterator[dict[str, Any]]:
        first = self.session.absolute(
            f"{self._base()}{path}?{urlencode({**parameters, 'page': '1', 'page_size': str(_PAGE)})}"
        )
        for page in lists.pages(lambda url: self.session.api("GET", url), first):
            yield from _rows(page, path)


def _repository_path(repository: str) -> str:
    """The rest of the name is escaped twice: proxies in front undo it once."""
    project, _slash, rest = repository.partition("/")
    return f"/projects/{quote(project, safe='')}/repositories/{quote(quote(rest, safe=''), safe='')}"


def _is_of(project: str, repository: str) -> bool:
    return repository.startswith(f"{project}/") and grammar.is_repository_name(repository)


# What it answers is believed in no detail; where it is no list of what it should be, that is said.


def _rows(found: object, path: str) -> list[dict[str, Any]]:
    if not isinstance(found, list):
        raise lists.no_list(path)
    return [_checked(row, path) for row in found]


def _checked(row: object, path: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise lists.no_list(path)
    return row


def _name(row: dict[str, Any], path: str) -> str:
    name = row.get("name")
    if not isinstance(name, str):
        raise lists.no_list(path)
    return name


def _digest(row: dict[str, Any], path: str) -> str:
    try:
        return str(Digest.parse(str(row.get("digest"))))
    except DigestError:
        raise lists.no_list(path) from None
