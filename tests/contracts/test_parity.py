"""Harbor's own interface description against the OpenAPI document of what is served here, operation by operation.

An operation matches if ours has its path, its method and all its parameters, succeeds with the same status and answers
with the same members, however deep, and can answer every refusal that Harbor describes. More is allowed where a client
of Harbor never meets it: further parameters, further members of an answer, and refusals that Harbor gives without
saying so (422 for a malformed request, 413).
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
import yaml
from django.test import Client

from harborsite.api import openapi
from tests.services import ROOT

INTERFACE = ROOT.parent / "shared" / "harbor" / "swagger.yaml"
Schema = dict[str, Any]

# Why something of Harbor's is not here: regular expressions of `METHOD path: what is missing`.
REASONS: dict[str, list[str]] = {
    "identity providers come with their own sign-in source, which is not here yet": [
        r"POST /system/oidc/ping: the operation",
        r"GET /users(/current|/\{\})?: answer oidc_user_meta",
    ],
    "nothing scans yet: such a request is refused as by a Harbor without a scanner": [
        r"\w+ /projects/.*/scan(/stop|/\{\}/log)?: 20[02]",
        r"GET .*/additions/vulnerabilities: (200|header .*)",
        r"GET /projects.*/artifacts(/\{\})?: (answer (scan|sbom)_overview|query with_(scan|sbom)_overview|header .*)",
        r"GET /configurations: answer scan_all_policy\..*",
        r"\w+ /system/scanAll/.*",
        r"GET /scans/.*",
        r"\w+ /export/cve.*",
        r"GET /security/.*",
    ],
    "nothing is preheated yet": [r"\w+ /projects/\{\}/preheat/policies.*"],
    "projects are no proxies yet": [
        r"GET /(search|projects|projects/\{\}): answer (project\.)?registry_id",
        r"GET /projects/\{\}/summary: answer registry",
    ],
    "an accessory is shown with its own subject": [
        r"GET /projects.*/artifacts(/\{\})?: (answer inherited_accessories|query with_inherited_accessory)",
    ],
    "Harbor describes it and never sends it": [
        r"GET /(search|projects|projects/\{\}): answer (project\.)?(deleted|togglable)",
        r"GET /system/(gc|purgeaudit)(/.*)?: answer (deleted|job_name)",
        r"GET /projects/\{\}/webhook/policies/\{\}/executions: answer metrics",
        r"GET /projects/\{\}/immutabletagrules: answer (params|priority|.*extras)",
        r"GET /registries(/\{\})?: answer ca_certificate",
        r"GET /replication/policies(/\{\})?: answer (src|dest)_registry\.ca_certificate",
        r"GET /jobservice/pools/\{\}/workers: answer check_in",
        r"GET /retentions/\{\}: answer trigger\.references",
        r"POST /retentions/\{\}/executions: 200",
    ],
    "on the wire it has another name, which ours has, too": [r".*: answer references\.platform\.'os\.features'"],
    "secrets are in no answer": [
        r"GET /robots(/\{\})?: answer secret",
        r"GET /p2p/preheat/instances(/\{\})?: answer auth_info",
    ],
    "what a scanner's adapter says of itself is asked by /scanners/{}/metadata": [
        r"\w+ /(projects/\{\}/scanner|scanners).*: answer (adapter|vendor|version|health)",
    ],
    "for Harbor's own parts, which are one process tree here": [r"GET /internalconfig: .*"],
    "nothing is authenticated by a proxy": [r"GET /systeminfo: answer authproxy_settings"],
    "it means nothing to one artifact": [
        r"GET /projects/.*/artifacts/\{\}: query (page|page_size|with_signature)",
    ],
    "a refusal that there is no occasion for": [
        r"(PUT|DELETE) /projects/\{\}/metadatas/\{\}: 409",
        r"POST /projects/.*/(artifacts|tags): 405",
        r"DELETE /projects/.*/labels/\{\}: 409",
        r"\w+ /p2p/preheat/(providers|instances): 404",
        r"GET /usergroups/search: 409",
        r"PUT /robots/\{\}: 409",
        r"GET /systeminfo/volumes: 404",
        r"POST /system/gc/schedule: 409",
        r"\w+ /jobservice/(pools/\{\}/workers|jobs/\{\}|queues|queues/\{\}): 404",
        r"GET /schedules(/\{\}/paused)?: 404",
        r"PUT /users/\{\}/cli_secret: 404",
        r"POST /labels: 415",
        r"GET /permissions: 404",
    ],
}


# What is read here and unknown to Harbor, and why.
OURS_ALONE = {"POST /retentions/{}/executions: ignore_limit": "a run that would delete very much has to be confirmed"}


def nameless(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path.rstrip("/"))


@cache
def harbors() -> Schema:
    loaded: Schema = yaml.safe_load(INTERFACE.read_text())
    return loaded


def resolved(document: Schema, node: Any) -> Any:
    while isinstance(node, dict) and "$ref" in node:
        place: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            place = place[part]
        node = place
    return node


def operations(document: Schema) -> Iterator[tuple[tuple[str, str], Schema, list[Schema]]]:
    """Each operation by its method and path, and its parameters with those of its path."""
    for path, item in document["paths"].items():
        shared = item.get("parameters", [])
        for method, operation in item.items():
            if method != "parameters":
                parameters = [resolved(document, each) for each in [*shared, *operation.get("parameters", [])]]
                yield (method.upper(), nameless(path)), operation, parameters


def members(document: Schema, schema: Any, seen: tuple[Any, ...] = ()) -> set[str]:
    """The members of a body as dotted paths; an array's are those of its items, `*` is any name."""
    schema = resolved(document, schema)
    if not isinstance(schema, dict) or any(schema is each for each in seen):
        return set()
    seen = (*seen, schema)
    found: set[str] = set()
    for part in [*schema.get("allOf", []), *schema.get("anyOf", []), *([schema["items"]] if "items" in schema else [])]:
        found |= members(document, part, seen)
    rest = schema.get("additionalProperties")
    for name, inner in {**schema.get("properties", {}), **({"*": rest} if isinstance(rest, dict) else {})}.items():
        below = members(document, inner, seen)
        found |= {f"{name}.{each}" for each in below} | {name}
    return found


def answer_members(document: Schema, operation: Schema) -> dict[str, set[str]]:
    """The members of each answer of success, in both ways of writing it."""
    found = {}
    for status, response in operation["responses"].items():
        if str(status).startswith("2"):
            response = resolved(document, response)
            content = response.get("content", {}).get("application/json", {})
            found[str(status)] = members(document, response.get("schema", content.get("schema")))
    return found


def differences(key: tuple[str, str], operation: Schema, parameters: list[Schema], ours: Mapping[Any, Any]) -> set[str]:
    """What of Harbor's operation is not in ours."""
    if key not in ours:
        return {"the operation"}
    our_operation, our_parameters = ours[key]
    asked = {(each["in"], each["name"]) for each in parameters if each["in"] in {"query", "header"}}
    missing = {f"{place} {name}" for place, name in asked - {(each["in"], each["name"]) for each in our_parameters}}
    missing |= {str(status) for status in operation["responses"] if str(status) not in our_operation["responses"]}
    answered = answer_members(openapi.document(), our_operation)
    for status, wanted in answer_members(harbors(), operation).items():
        missing |= {f"answer {name}" for name in outermost(wanted, answered.get(status, set()))}
    return missing


def outermost(wanted: set[str], answered: set[str]) -> set[str]:
    """The wanted members that are not answered, without what is inside them; any name stands for all names."""
    missing = {each for each in wanted - answered if not (each.endswith("*") and _inside(each[:-1], answered))}
    return {each for each in missing if not any(each.startswith(f"{other}.") for other in missing)}


def _inside(start: str, answered: set[str]) -> bool:
    return any(each.startswith(start) for each in answered)


def found_differences() -> dict[str, set[str]]:
    """What is missing, by `METHOD path`; an operation that matches has nothing missing."""
    ours = {key: (operation, parameters) for key, operation, parameters in operations(openapi.document())}
    return {
        " ".join(key): differences(key, operation, parameters, ours)
        for key, operation, parameters in operations(harbors())
    }


def test_every_difference_has_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    found = found_differences()
    used, unexplained, short = set(), [], defaultdict(set)
    for operation, missing in found.items():
        for each in sorted(missing):
            text = f"{operation}: {each}"
            reasons = [(why, pattern) for why, pattern in patterns() if re.fullmatch(pattern, text)]
            used |= set(reasons)
            unexplained += [] if reasons else [text]
            for why, _ in reasons:
                short[why].add(operation)
    lines = [f"{sum(not missing for missing in found.values())} of {len(found)} operations of Harbor's match fully"]
    lines += [
        f"  {len(operations):3} {why}" for why, operations in sorted(short.items(), key=lambda each: -len(each[1]))
    ]
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")
    assert not unexplained, "\n".join(unexplained)
    stale = [pattern for why, pattern in patterns() if (why, pattern) not in used]
    assert not stale, f"these reasons are out of date: {stale}"


def patterns() -> Iterator[tuple[str, str]]:
    for why, each in REASONS.items():
        for pattern in each:
            yield why, pattern


def test_the_document_describes_bodies_and_parameters() -> None:
    document = openapi.document()
    create = document["paths"]["/projects"]["post"]
    assert create["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("ProjectRequest")
    assert "201" in create["responses"]
    listed = {parameter["name"] for parameter in document["paths"]["/projects"]["get"]["parameters"]}
    assert {"page", "page_size", "q", "sort", "name", "public", "owner", "with_detail"} <= listed
    identifiers = [operation["operationId"] for _, operation, _ in operations(document)]
    assert sorted(set(identifiers)) == sorted(identifiers)
    for reference in re.findall(r"#/components/schemas/([\w.]+)", str(document)):
        assert reference in document["components"]["schemas"]


def test_bodies_are_read_by_harbors_names() -> None:
    """Whatever we read has its name in Harbor's description of that body; what we do not read is dropped."""
    ours = {key: operation for key, operation, _ in operations(openapi.document())}
    unknown = []
    for key, _, parameters in operations(harbors()):
        body = [each["schema"] for each in parameters if each["in"] == "body"]
        read = ours.get(key, {}).get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        if read is not None:
            wanted = members(harbors(), body[0]) if body else set()
            names = {each for each in members(openapi.document(), read) if not each.endswith("*")}
            unknown += [f"{' '.join(key)}: {each}" for each in outermost(names, wanted)]
    assert set(unknown) == OURS_ALONE.keys()


def test_the_document_and_its_page_are_there_for_everybody(db: None) -> None:
    assert Client().get("/api/v2.0/swagger.json").json()["openapi"] == "3.1.0"
    page = Client().get("/devcenter-api-2.0", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert b"/api/v2.0/projects/{project_name_or_id}" in page.content
    assert b"http://" not in page.content.replace(b"http://www.w3.org", b"")
