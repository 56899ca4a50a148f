"""Namespaces with their flattening, and what the filters of a policy let through."""

from __future__ import annotations

from typing import Any

import pytest

from harborsite.errors import BadRequest
from replication.filters import Candidate, Filters, checked, expand_braces
from replication.namespaces import ANY, AT_LEAST_TWO, ONLY_TWO, check_parts, target_name


@pytest.mark.parametrize(
    ("namespace", "count", "expected"),
    [
        ("ns", -1, "ns/image"),
        ("ns", -128, "ns/image"),
        ("ns", 0, "ns/a/b/c/image"),
        ("ns", 1, "ns/b/c/image"),
        ("ns", 2, "ns/c/image"),
        ("ns", 3, "ns/image"),
        ("ns/sub", 2, "ns/sub/c/image"),
        ("", -1, "a/b/c/image"),
        ("", 3, "a/b/c/image"),
    ],
)
def test_leading_parts_give_way_to_the_namespace(namespace: str, count: int, expected: str) -> None:
    assert target_name("a/b/c/image", namespace, count) == expected


def test_more_parts_than_there_are_cannot_give_way() -> None:
    with pytest.raises(BadRequest) as refusal:
        target_name("a/b/c/image", "ns", 4)
    assert refusal.value.message == (
        'the source repository "a/b/c/image" contains only 3 path components [a b c] excepting the last one, '
        "but the destination namespace flattening level is 4"
    )


def test_a_destination_may_limit_the_parts_of_a_name() -> None:
    assert check_parts("image", ANY) == "image"
    assert check_parts("a/b/c", AT_LEAST_TWO) == "a/b/c"
    for name, rule in (("image", AT_LEAST_TWO), ("a/b/c", ONLY_TWO), ("image", ONLY_TWO)):
        with pytest.raises(BadRequest):
            check_parts(name, rule)


def filters(*given: tuple[str, Any] | tuple[str, Any, str]) -> Filters:
    return Filters(checked([dict(zip(("type", "value", "decoration"), each, strict=False)) for each in given]))


@pytest.mark.parametrize(
    ("pattern", "meant", "not_meant"),
    [
        ("library/**", "library/a/b", "other/a"),
        ("library/*", "library/a", "library/a/b"),
        ("{library,other}/app", "other/app", "third/app"),
        ("library/{a,b*}", "library/b12", "library/c"),
        ("library/a?c", "library/abc", "library/ac"),
        ("", "anything/at/all", None),
    ],
)
def test_repositories_are_meant_by_their_full_name(pattern: str, meant: str, not_meant: str | None) -> None:
    judge = filters(("name", pattern))
    assert judge.means_repository(meant)
    assert not_meant is None or not judge.means_repository(not_meant)


def test_tags_match_or_are_excluded_and_no_tag_is_the_empty_one() -> None:
    image = Candidate("sha256:1", ("v1", "v2", "latest"), type="IMAGE")
    bare = Candidate("sha256:2", (), type="IMAGE")
    assert filters().select(image) == image
    assert filters().select(bare) == bare
    selected = filters(("tag", "v*", "matches")).select(image)
    assert selected is not None
    assert selected.tags == ("v1", "v2")
    selected = filters(("tag", "v*", "excludes")).select(image)
    assert selected is not None
    assert selected.tags == ("latest",)
    assert filters(("tag", "v*")).select(bare) is None
    assert filters(("tag", "**")).select(bare) == bare
    assert filters(("tag", "{v1,v2,latest}", "excludes")).select(image) is None


def test_labels_must_all_be_there_or_are_excluded() -> None:
    image = Candidate("sha256:1", ("v1",), frozenset({"prod", "signed"}))
    assert filters(("label", ["prod", "signed"])).select(image) == image
    assert filters(("label", ["prod", "tested"])).select(image) is None
    assert filters(("label", ["prod"], "excludes")).select(image) is None
    assert filters(("label", ["dev"], "excludes")).select(image) == image


def test_only_images_or_everything() -> None:
    chart = Candidate("sha256:1", ("1.0",), type="CHART")
    assert filters(("resource", "image")).select(chart) is None
    assert filters(("resource", "artifact")).select(chart) == chart


def test_names_without_wildcards_need_no_catalogue() -> None:
    assert filters(("name", "a/{b,c}")).literal_names() == ["a/b", "a/c"]
    assert filters(("name", "a/*")).literal_names() is None
    assert filters().literal_names() is None
    assert filters(("name", "{a,b}/x*")).name_prefixes() == ["a/x", "b/x"]
    assert expand_braces("{a,b{c,d}}/e") == ["a/e", "bc/e", "bd/e"]


@pytest.mark.parametrize(
    "bad",
    [
        {"type": "colour", "value": "x"},
        {"type": "name", "value": 5},
        {"type": "name", "value": "a/[b"},
        {"type": "tag", "value": "{a,b"},
        {"type": "tag", "value": "a}"},
        {"type": "tag", "value": "a", "decoration": "likes"},
        {"type": "name", "value": "a", "decoration": "matches"},
        {"type": "label", "value": "prod"},
        {"type": "label", "value": [1]},
        {"type": "resource", "value": "chart"},
        {"type": "name", "value": "x" * 2000},
        {"type": "name", "value": "{a,b}" * 100},
        {},
    ],
)
def test_a_filter_that_cannot_be_read_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        checked([bad])
