"""Tag lists and the catalogue."""

from __future__ import annotations

import pytest
from django.test import Client

from projects.models import User
from registry.models import Tag
from tests.factories import client_for, error_code
from tests.images import image
from tests.registry import wire


@pytest.fixture
def tagged(owner: Client) -> Client:
    pushed = image()
    wire.push(owner, "library/app", pushed)
    for tag in ("c", "a", "b", "d", "B"):
        wire.put_manifest(owner, "library/app", tag, pushed)
    return owner


def tags(client: Client, query: str = "") -> list[str]:
    answer = client.get(f"/v2/library/app/tags/list{query}")
    assert answer.status_code == 200
    names: list[str] = answer.json()["tags"]
    return names


def test_all_tags_in_byte_order(tagged: Client) -> None:
    assert tags(tagged) == ["B", "a", "b", "c", "d"]
    assert tags(tagged, "?last=b") == ["c", "d"]
    assert tags(tagged, "?last=bb") == ["c", "d"]
    assert tags(tagged, "?last=z") == []


def test_paging_follows_the_link(tagged: Client) -> None:
    first = tagged.get("/v2/library/app/tags/list?n=2")
    assert first.json() == {"name": "library/app", "tags": ["B", "a"]}
    assert first["Link"] == '</v2/library/app/tags/list?last=a&n=2>; rel="next"'
    second = tagged.get("/v2/library/app/tags/list?last=a&n=2")
    assert second.json()["tags"] == ["b", "c"]
    last = tagged.get("/v2/library/app/tags/list?last=c&n=2")
    assert last.json()["tags"] == ["d"]
    assert "Link" not in last
    assert "Link" not in tagged.get("/v2/library/app/tags/list?n=5")


def test_no_tags_wanted(tagged: Client) -> None:
    assert tags(tagged, "?n=0") == []


def test_a_great_n_is_no_harm(tagged: Client) -> None:
    assert len(tags(tagged, "?n=99999999999999999999999")) == 5
    assert len(tags(tagged, f"?n={2**31}")) == 5


@pytest.mark.parametrize("n", ["-1", "x", "1.5", "%D9%A1"])
def test_a_bad_n_is_refused(tagged: Client, n: str) -> None:
    for address in ("/v2/library/app/tags/list",):
        answer = tagged.get(f"{address}?n={n}")
        assert (answer.status_code, error_code(answer)) == (400, "BAD_REQUEST")


def test_tags_that_are_prefixes_of_others(owner: Client) -> None:
    pushed = image()
    wire.push(owner, "library/app", pushed)
    for tag in ("1.0.1", "1", "1.0", "10"):
        wire.put_manifest(owner, "library/app", tag, pushed)
    assert tags(owner) == ["1", "1.0", "1.0.1", "10"]
    assert tags(owner, "?n=1&last=1") == ["1.0"]


def test_an_unknown_repository(owner: Client) -> None:
    answer = owner.get("/v2/library/none/tags/list")
    assert (answer.status_code, error_code(answer)) == (404, "NOT_FOUND")
    assert answer.json()["errors"][0]["message"] == "repository library/none not found"


def test_deleting_a_tag_leaves_the_image_and_other_tags(tagged: Client) -> None:
    assert tagged.delete("/v2/library/app/manifests/a").status_code == 202
    assert tags(tagged) == ["B", "b", "c", "d"]
    assert wire.get_manifest(tagged, "library/app", "a").status_code == 404
    assert wire.get_manifest(tagged, "library/app", image().digest).status_code == 200
    assert error_code(tagged.delete("/v2/library/app/manifests/a")) == "NOT_FOUND"


def test_the_catalogue_lists_what_holds_something(owner: Client, admin: User) -> None:
    for repository in ("library/y", "library/x", "library/a/b"):
        wire.push(owner, f"{repository}:v1", image())
    wire.put_blob(owner, "library/blob-alone", b"x")
    root = client_for(admin)
    assert root.get("/v2/_catalog").json() == {"repositories": ["library/a/b", "library/x", "library/y"]}
    page = root.get("/v2/_catalog?n=1&last=library/a/b")
    assert page.json() == {"repositories": ["library/x"]}
    assert page["Link"] == '</v2/_catalog?last=library%2Fx&n=1>; rel="next"'
    assert root.get("/v2/_catalog?n=0").json() == {"repositories": []}
    assert error_code(root.get("/v2/_catalog?n=-1")) == "BAD_REQUEST"
    owner.delete(f"/v2/library/x/manifests/{image().digest}")
    assert root.get("/v2/_catalog").json() == {"repositories": ["library/a/b", "library/y"]}


def test_the_catalogue_is_for_administrators(owner: Client) -> None:
    assert owner.get("/v2/_catalog").status_code == 401
    assert Client().get("/v2/_catalog").status_code == 401
    assert Client().get("/v2//_catalog").status_code == 401


def test_tag_names_differ_by_case(tagged: Client) -> None:
    tagged.delete("/v2/library/app/manifests/B")
    assert tags(tagged) == ["a", "b", "c", "d"]
    assert Tag.objects.filter(name="b").exists()
