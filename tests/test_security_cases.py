"""Incidents of this field that must not happen here; each test names the row of the list of incidents it is about.

Rows that are about one part alone are tested beside it: forged tokens (17, 18) in `registry/test_tokens.py`, signing
in (26, 30) in `projects/test_signin.py`, what a robot account may do (5, 6, 10) in `projects/test_permissions.py`.
"""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from django.test import Client

from projects import params
from projects.models import Project, Robot, Setting, User
from projects.permissions import Role
from projects.services import lifecycle
from registry.models import BlobUpload, Repository
from tests import images
from tests.factories import (
    PASSWORD,
    add,
    basic,
    bearer_client,
    client_for,
    error_code,
    grant,
    make_project,
    make_robot,
    make_user,
    push,
    token_for,
)

ROOT = Path(__file__).resolve().parent.parent
DIGEST = "sha256:" + "0" * 64
UPLOAD = "00000000-0000-0000-0000-000000000000"
REPOSITORY_ROUTES = [
    ("GET", "tags/list"),
    ("GET", "manifests/v1"),
    ("HEAD", "manifests/v1"),
    ("GET", f"manifests/{DIGEST}"),
    ("PUT", "manifests/v1"),
    ("DELETE", "manifests/v1"),
    ("DELETE", f"manifests/{DIGEST}"),
    ("GET", f"blobs/{DIGEST}"),
    ("HEAD", f"blobs/{DIGEST}"),
    ("DELETE", f"blobs/{DIGEST}"),
    ("GET", f"referrers/{DIGEST}"),
    ("POST", "blobs/uploads/"),
    ("POST", f"blobs/uploads/?mount={DIGEST}"),
    ("POST", f"blobs/uploads/?digest={DIGEST}"),
    ("GET", f"blobs/uploads/{UPLOAD}"),
    ("PATCH", f"blobs/uploads/{UPLOAD}"),
    ("PUT", f"blobs/uploads/{UPLOAD}?digest={DIGEST}"),
    ("DELETE", f"blobs/uploads/{UPLOAD}"),
]


@pytest.fixture
def secret_image(library: Project, alice: User) -> images.Manifest:
    """An image in alice's private project."""
    manifest = images.image()
    assert push(client_for(alice), "library/app:v1", manifest).status_code == 201
    return manifest


def outsiders(commons: Project, carol: User) -> Iterator[tuple[str, Client]]:
    """Everybody who has no business in `library`."""
    yield "nobody", Client()
    yield "wrong password", Client(headers={"Authorization": basic("alice", "Wrong12345")})
    yield "stranger", client_for(carol)
    yield "token of nobody", bearer_client(token_for(None, "repository:library/app:pull"))
    yield "token of nobody for another project", bearer_client(token_for(None, "repository:commons/app:pull"))
    yield "token of a stranger", bearer_client(token_for(carol, "repository:library/app:pull,push,delete"))
    yield "token without scope", bearer_client(token_for(carol))
    yield "robot account of another project", client_for(make_robot("ci", grant("commons", "repository:pull")))
    yield "false token", bearer_client("abc.def.ghi")


def test_row_06_a_robot_account_named_like_a_scanner_gets_nothing_for_it(
    secret_image: images.Manifest, library: Project
) -> None:
    robot = make_robot("scanner-trivy-0", grant("library", "artifact:list"), project=library)
    client = client_for(robot)
    assert client.get("/v2/library/app/manifests/v1").status_code == 401
    token = token_for(robot, "repository:library/app:pull,scanner-pull")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["access"] == [{"type": "repository", "name": "library/app", "actions": []}]


def test_row_07_an_empty_robot_prefix_neither_blocks_nor_impersonates_people(bob: User) -> None:
    make_robot("bob", grant("*", "repository:push"))
    Setting.objects.create(key="robot_name_prefix", value="")
    params.forget()
    token = token_for(bob)
    assert jwt.decode(token, options={"verify_signature": False})["sub"] == "bob"
    assert token_for(bob, "repository:library/app:push")
    Robot.objects.update(secret=bob.password)
    assert client_for(bob).post("/v2/library/app/blobs/uploads/").status_code == 401, "still the guest, not the robot"


def test_row_14_a_private_source_looks_like_a_missing_one(
    secret_image: images.Manifest, commons: Project, carol: User
) -> None:
    add(commons, carol, Role.DEVELOPER)
    real = secret_image.blobs[0].digest
    for client in (client_for(carol), bearer_client(token_for(carol, "repository:commons/app:pull,push"))):
        answers = [
            client.post(f"/v2/commons/app/blobs/uploads/?mount={digest}&from={source}")
            for digest in (real, DIGEST)
            for source in ("library/app", "library/none", "nowhere/app")
        ]
        assert {answer.status_code for answer in answers} == {401}
        assert len({answer["WWW-Authenticate"] for answer in answers}) == 1
        anywhere = client.post(f"/v2/commons/app/blobs/uploads/?mount={real}")
        assert anywhere.status_code == 202, "an anonymous mount finds no blob that one may not read"
        assert client.head(f"/v2/commons/app/blobs/{real}").status_code == 404


def test_row_15_the_upload_of_somebody_else_is_not_there(library: Project, alice: User, carol: User) -> None:
    add(library, carol, Role.DEVELOPER)
    location = client_for(alice).post("/v2/library/app/blobs/uploads/")["Location"].removeprefix("http://testserver")
    for client in (
        client_for(carol),
        bearer_client(token_for(carol, "repository:library/app:push")),
        client_for(make_robot("ci", grant("library", "repository:push"), project=library)),
    ):
        assert client.get(location).status_code == 404
        assert client.patch(location, b"x", content_type="application/octet-stream").status_code == 404
        assert client.put(f"{location}?digest={DIGEST}").status_code == 404
    other_name = location.replace("library/app", "library/other")
    assert client_for(alice).get(other_name).status_code == 404, "nor in another repository"
    assert client_for(alice).get(location).status_code == 204
    assert BlobUpload.objects.count() == 1


@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "HS256"}, {"jwk": {}}, {"crit": ["exp"]}], ids=str)
def test_rows_17_and_18_a_forged_token_opens_nothing(secret_image: images.Manifest, header: dict[str, Any]) -> None:
    claims = jwt.decode(token_for(None, "repository:library/app:pull"), options={"verify_signature": False})
    claims |= {"sub": "admin", "access": [{"type": "repository", "name": "library/app", "actions": ["pull"]}]}
    algorithm = header.get("alg", "HS256")
    forged = jwt.encode(claims, "" if algorithm == "none" else "k" * 64, algorithm=algorithm, headers=header)
    for path in ("/v2/", "/v2/library/app/manifests/v1", "/v2/_catalog"):
        refused = bearer_client(forged).get(path)
        assert (refused.status_code, error_code(refused)) == (401, "UNAUTHORIZED")


def test_row_18_the_token_library_has_the_fixes_that_are_known() -> None:
    assert tuple(int(part) for part in jwt.__version__.split(".")[:2]) >= (2, 13)


def test_row_19_a_token_ends_with_its_project(alice: User, admin: User) -> None:
    """The project that comes back under the same name is another one, also as a source to mount from."""
    phoenix = make_project("phoenix", alice)
    make_project("target", alice)
    scopes = ["repository:phoenix/app:pull,push", "repository:target/app:pull,push"]
    old = bearer_client(token_for(alice, *scopes))
    assert old.post("/v2/phoenix/app/blobs/uploads/").status_code == 202
    BlobUpload.objects.all().delete()
    lifecycle.delete_project(project=phoenix, actor=alice)
    make_project("phoenix", alice)
    assert push(client_for(alice), "phoenix/app:v1", images.image()).status_code == 201
    assert old.get("/v2/phoenix/app/manifests/v1").status_code == 401
    assert old.post("/v2/phoenix/app/blobs/uploads/").status_code == 401
    assert old.post(f"/v2/target/app/blobs/uploads/?mount={DIGEST}&from=phoenix/app").status_code == 401
    assert old.post("/v2/target/app/blobs/uploads/").status_code == 202, "what it says of other projects holds"
    new = bearer_client(token_for(alice, *scopes))
    assert new.get("/v2/phoenix/app/tags/list").json()["tags"] == ["v1"]
    assert new.post(f"/v2/target/app/blobs/uploads/?mount={DIGEST}&from=phoenix/app").status_code == 202


@pytest.mark.parametrize(("method", "path"), REPOSITORY_ROUTES, ids=lambda part: part)
def test_row_20_each_method_takes_its_own_right(library: Project, method: str, path: str) -> None:
    """A robot account that may do everything but what the method is for is refused."""
    needed = {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}.get(method, "push")
    others = [f"repository:{action}" for action in ("pull", "push", "delete") if action != needed]
    robot = make_robot("short", grant("library", *others))
    address = f"/v2/library/app/{path}"
    for client in (client_for(robot), bearer_client(token_for(robot, "repository:library/app:*"))):
        assert client.generic(method, address).status_code == 401
    Robot.objects.update(permissions=[grant("library", f"repository:{needed}")])
    for client in (client_for(robot), bearer_client(token_for(robot, "repository:library/app:*"))):
        assert client.generic(method, address).status_code != 401


@pytest.mark.parametrize(("method", "path"), REPOSITORY_ROUTES, ids=lambda part: part)
def test_row_23_outsiders_get_nothing_from_a_private_project(
    secret_image: images.Manifest, library: Project, commons: Project, carol: User, method: str, path: str
) -> None:
    real = path.replace(DIGEST, secret_image.digest if "manifests" in path else secret_image.blobs[0].digest)
    for who, client in outsiders(commons, carol):
        for address in (f"/v2/library/app/{path}", f"/v2/library/app/{real}", f"/v2/app/{path}"):
            answer = client.generic(method, address)
            assert answer.status_code == 401, (who, address)
            assert method == "HEAD" or error_code(answer) == "UNAUTHORIZED"
            assert "Docker-Content-Digest" not in answer
    assert Repository.objects.count() == 1
    assert not BlobUpload.objects.exists()


@pytest.mark.parametrize(
    "address",
    [
        "/v2/_catalog",
        "/v2//_catalog",
        "/v2/./_catalog",
        "/v2/%5fcatalog",
        "/v2/_catalog/",
        "/v2/x/../_catalog",
        "/v2/library%2fapp/tags/list",
        "/v2/library/app%2ftags%2flist",
        "/v2/commons/..%2flibrary/app/tags/list",
        "/v2/commons/app/../../library/app/tags/list",
        "/v2/commons%00/../library/app/tags/list",
        "/v2/library//app/tags/list",
        "/V2/library/app/tags/list",
        "/v2",
    ],
)
def test_row_23_no_spelling_of_an_address_goes_round_the_check(
    secret_image: images.Manifest, commons: Project, carol: User, address: str
) -> None:
    for who, client in outsiders(commons, carol):
        answer = client.get(address)
        assert answer.status_code in {400, 401, 404}, (who, address)
        assert b'"v1"' not in answer.content, who  # as JSON has it: a page may hold the letters in a random token


def test_row_23_the_catalogue_is_not_for_tokens(secret_image: images.Manifest, admin: User) -> None:
    assert bearer_client(token_for(admin, "registry:catalog:*")).get("/v2/_catalog").status_code == 401
    assert client_for(admin).get("/v2/_catalog").json() == {"repositories": ["library/app"]}


def test_row_25_no_secret_is_in_an_answer_or_in_a_log(
    secret_image: images.Manifest, alice: User, carol: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    canary = "Canary7Bird"
    token = token_for(alice, "repository:library/app:pull")
    signature = token.rpartition(".")[2]
    clients = [
        Client(headers={"Authorization": basic("alice", canary)}),
        Client(headers={"Authorization": basic("alice", PASSWORD)}),
        bearer_client(token),
        bearer_client(token[:-1]),
    ]
    seen = []
    for client in clients:
        for address in ("/v2/", "/v2/library/app/manifests/v1", "/v2/library/app/nothing", "/v2/UPPER/tags/list"):
            answer = client.get(address)
            seen.append(f"{answer.content!r} {dict(answer.headers)!r}")
    text = caplog.text + "".join(seen) + "".join(repr(record.__dict__) for record in caplog.records)
    for secret in (canary, PASSWORD, signature, alice.password):
        assert secret not in text


def test_row_26_a_name_that_exists_is_answered_like_one_that_does_not(library: Project, alice: User) -> None:
    for address in ("/v2/", "/v2/library/app/tags/list", "/v2/_catalog", "/service/token?service=harbor-registry"):
        same = {"X-Request-Id": "same"}
        answers = [
            Client(headers={"Authorization": basic(name, "Wrong12345"), **same}).get(address)
            for name in ("alice", "nobody")
        ]
        assert answers[0].status_code == answers[1].status_code == 401
        assert answers[0].content == answers[1].content
        assert answers[0].headers == answers[1].headers


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_row_27_a_session_alone_changes_nothing(library: Project, alice: User, method: str) -> None:
    """A page of somebody else can make a browser send the cookie, but not the token that goes with it."""
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    paths = [path for verb, path in REPOSITORY_ROUTES if verb == method]
    for path in paths:
        assert browser.generic(method, f"/v2/library/app/{path}").status_code == 403
    assert browser.get("/v2/").status_code == 200
    strict = Client(enforce_csrf_checks=True, headers={"Authorization": basic("alice")})
    assert all(strict.generic(method, f"/v2/library/app/{path}").status_code != 403 for path in paths)


def test_row_30_the_default_password_opens_the_registry_from_this_machine_alone(db: None) -> None:
    make_user("admin", pk=1, password="Harbor12345", sysadmin_flag=True)
    client = Client(headers={"Authorization": basic("admin", "Harbor12345")})
    assert client.get("/v2/").status_code == 200
    places: list[dict[str, Any]] = [{"REMOTE_ADDR": "192.0.2.7"}, {"HTTP_X_FORWARDED_FOR": "192.0.2.7"}]
    for meta in places:
        refused = client.generic("GET", "/v2/", **meta)
        assert (refused.status_code, error_code(refused)) == (401, "UNAUTHORIZED")
        assert "manage.py users set-password admin" in refused.content.decode()
        assert refused["Docker-Distribution-Api-Version"] == "registry/2.0"


# What one person typed, compared with itself.
MAY_BE_COMPARED = {"old_password == password", "getpass.getpass(gettext('Again: ')) != password"}
SECRET = re.compile(r"password|secret|token|signature|fingerprint", re.IGNORECASE)


def compared_names(node: ast.AST) -> list[str]:
    """The names on both sides of `==` or `!=`; none if one side is a constant, which is in the code for all to see."""
    if not isinstance(node, ast.Compare) or not any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
        return []
    sides = [node.left, *node.comparators]
    names = [side.id if isinstance(side, ast.Name) else getattr(side, "attr", "") for side in sides]
    constant = any(isinstance(side, ast.Constant) for side in sides) or any(name.isupper() for name in names)
    return [] if constant else names


def test_row_31_no_secret_is_compared_with_an_equals_sign() -> None:
    """`==` stops at the first difference, and so tells how much was right."""
    found = [
        f"{file.relative_to(ROOT)}: {ast.unparse(node)}"
        for app in ("harborsite", "audit", "projects", "registry", "replication")
        for file in (ROOT / app).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if any(SECRET.search(name) for name in compared_names(node)) and ast.unparse(node) not in MAY_BE_COMPARED
    ]
    assert not found, "\n".join(found)
