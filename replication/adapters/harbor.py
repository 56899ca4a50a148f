"""Harbor, or another Harborsite: listed with types and labels, its projects made as needed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlencode

from django.utils.translation import gettext as _

from harborsite.outbound import OutboundError
from registry.oci.digest import Digest
from replication.adapters.base import Listing
from replication.adapters.distribution import Distribution, next_page
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
        return [str(label["name"]) for label in self._all("/labels", scope="g")]

    # --- reading

    def listings(self, filters: Filters) -> Iterator[Listing]:
        public: dict[str, bool] = {}
        names: list[str] = []
        for project in self._projects(filters):
            name = str(project.get("name"))
            public[name] = (project.get("metadata") or {}).get("public") == "true"
            found = self._all(f"/projects/{quote(name, safe='')}/repositories")
            names += [str(row["name"]) for row in found if filters.means_repository(str(row["name"]))]
        with ThreadPoolExecutor(_LISTED_AT_ONCE) as crew:
            listed = crew.map(lambda name: self._listing(name, filters, self.candidates(name)), names)
            for listing in listed:
                yield Listing(listing.name, listing.artifacts, public[listing.name.partition("/")[0]])

    def candidates(self, repository: str) -> Iterable[Candidate]:
        options = {"with_tag": "true", "with_label": "true", "with_accessory": "true"}
        for row in self._all(f"{_repository_path(repository)}/artifacts", **options):
            yield Candidate(
                digest=str(Digest.parse(str(row["digest"]))),
                tags=tuple(str(tag["name"]) for tag in row.get("tags") or []),
                labels=frozenset(str(label["name"]) for label in row.get("labels") or []),
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
        url: str | None = self.session.absolute(
            f"{self._base()}{path}?{urlencode({**parameters, 'page': '1', 'page_size': str(_PAGE)})}"
        )
        while url:
            with self.session.api("GET", url) as answer:
                rows = answer.json()
                url = _escaped(next_page(answer))
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise OutboundError(_("{url} does not answer with a list").format(url=path))
            yield from rows


def _repository_path(repository: str) -> str:
    """The rest of the name is escaped twice: proxies in front undo it once."""
    project, _slash, rest = repository.partition("/")
    return f"/projects/{quote(project, safe='')}/repositories/{quote(quote(rest, safe=''), safe='')}"


def _escaped(url: str | None) -> str | None:
    """Harbor writes the query of a Link unescaped."""
    return quote(url, safe=":/?&=%,+~@!$'()*;[]-._") if url else url
