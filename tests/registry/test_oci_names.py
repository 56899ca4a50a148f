"""Names and digests: what the grammar accepts, and that nothing slips past it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.oci import grammar
from registry.oci.digest import Digest, DigestError, new_hasher
from registry.oci.grammar import GrammarError, parse_reference, split_repository

HEX = "0123456789abcdef" * 4
digests = st.builds(Digest.of, st.binary(), st.sampled_from(["sha256", "sha512"]))


@pytest.mark.parametrize("name", ["library", "a", "0", "my-project", "a.b_c-d", "x" * 255])
def test_these_are_project_names(name: str) -> None:
    assert grammar.is_project_name(name)


@pytest.mark.parametrize(
    "name", ["", "Library", "-a", "a-", "a--b", "a__b", "a..b", "a/b", "a b", "é", "a\n", "٣", "x" * 256]
)
def test_these_are_no_project_names(name: str) -> None:
    assert not grammar.is_project_name(name)


@pytest.mark.parametrize("name", ["library/alpine", "a/b/c", "a/b__c", "a/b---c", "a/b.c_d", "a/" + "x" * 253])
def test_these_are_repository_names(name: str) -> None:
    assert grammar.is_repository_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        "a/../b",
        "a/b___c",
        "a/B",
        "a/_b",
        "a/b\n",
        "a/%2e",
        "a/b:c",
        "a/" + "x" * 254,
    ],
)
def test_these_are_no_repository_names(name: str) -> None:
    assert not grammar.is_repository_name(name)
    with pytest.raises(GrammarError):
        split_repository(name)


def test_a_repository_name_splits_at_the_first_slash() -> None:
    assert split_repository("library/tools/alpine") == ("library", "tools/alpine")


def test_a_repository_name_without_a_project_is_refused() -> None:
    with pytest.raises(GrammarError, match="names no project"):
        split_repository("alpine")


@pytest.mark.parametrize("tag", ["latest", "_x", "1.0", "V1.0-rc_1", "t" * 128])
def test_these_are_tags(tag: str) -> None:
    assert parse_reference(tag) == tag


@pytest.mark.parametrize("tag", ["", ".x", "-x", "a b", "a/b", "latest\n", "ä", "t" * 129, "sha256-" + "a" * 130])
def test_these_are_no_tags(tag: str) -> None:
    with pytest.raises(GrammarError):
        parse_reference(tag)


def test_a_reference_with_a_colon_is_a_digest() -> None:
    assert parse_reference(f"sha256:{HEX}") == Digest("sha256", HEX)
    with pytest.raises(DigestError):
        parse_reference("sha256:latest")


@given(digests)
def test_a_digest_survives_its_text(digest: Digest) -> None:
    assert Digest.parse(str(digest)) == digest
    assert parse_reference(str(digest)) == digest
    assert re.fullmatch(grammar.DIGEST, str(digest))


@given(st.text())
def test_a_text_is_a_digest_only_by_the_grammar(text: str) -> None:
    try:
        digest = Digest.parse(text)
    except DigestError:
        assert not re.fullmatch(grammar.DIGEST, text)
    else:
        assert str(digest) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEX,
        f"sha256:{HEX[1:]}",
        f"sha256:{HEX}\n",
        f"sha256:{HEX.upper()}",
        f"sha512:{HEX}",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        f"sha256:../../{HEX[6:]}",
        f"sha256:{HEX[:-1]}٣",
    ],
)
def test_these_are_no_digests(text: str) -> None:
    with pytest.raises(DigestError):
        Digest.parse(text)


def test_no_digest_can_be_built_around_the_check() -> None:
    with pytest.raises(DigestError):
        Digest("sha256", "../../../../etc/passwd")


def test_known_digests_come_out() -> None:
    assert str(Digest.of(b"")) == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert Digest.of(b"", "sha512").hex.startswith("cf83e1357eefb8bd")
    with pytest.raises(DigestError, match="md5"):
        new_hasher("md5")


@given(st.text())
def test_every_text_is_judged_without_a_crash(text: str) -> None:
    grammar.is_project_name(text)
    try:
        project, rest = split_repository(text)
    except GrammarError:
        pass
    else:
        assert f"{project}/{rest}" == text


def test_a_long_name_is_judged_in_no_time() -> None:
    assert re.fullmatch(grammar.REPOSITORY_NAME, "a_" * 200_000) is None
