"""What else a hostile registry may answer: lists that lie or never end, names that are none, tokens of any size."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from harborsite.jobs.models import Execution, Status
from projects.models import User
from registry.models import Artifact
from replication.adapters import lists
from replication.errors import RegistryUnhealthy
from replication.models import ReplicationPolicy
from replication.services import executions, registries
from tests import images
from tests.images import OCI_INDEX, Manifest, digest_of
from tests.replication.conftest import (
    carry_out,
    carry_out_to_the_end,
    log_of,
    nothing_is_stored,
    policy,
    registered,
)
from tests.replication.standin import Call, StandIn, on, standin

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("loopback")]

IMAGE = images.image("hostile")
HTML = b"<!DOCTYPE html><html><body>Sign in</body></html>"


@pytest.fixture
def source(far: StandIn) -> StandIn:
    """It has one image; the rest is up to the test."""
    far.hold("team/app", "v1", IMAGE)
    return far


def pulled(admin: User, source: StandIn, names: str = "**", **registry: Any) -> Execution:
    rule = policy(admin, registered(source, **registry), names, pull=True)
    return carry_out_to_the_end(executions.start(policy=rule))


def said(execution: Execution) -> str:
    return execution.status_message + log_of(execution)


def endless(call: Call, status: int = 200) -> None:
    """A body without a length that goes on for as long as somebody reads it."""
    call.close_connection, piece = True, b" " * 65_536
    call.send_response(status)
    call.send_header("Content-Type", images.OCI_INDEX)
    call.send_header("Transfer-Encoding", "chunked")
    call.end_headers()
    with suppress(OSError):
        while True:
            call.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))


# --- lists ------------------------------------------------------------------------------------------------


def page_of(key: str, *, names: Any, following: str) -> Any:
    """A page that names the next one; `{n}` in either is the number of the page."""

    def answer(call: Call) -> None:
        number = int(parse_qs(urlsplit(call.path).query).get("last", ["0"])[0])
        place = following.replace("{n}", str(number + 1))
        listed = [name.replace("{n}", str(number)) for name in names]
        call.say_json({key: listed}, Link=f'<{place}>; rel="next"')

    return answer


@pytest.mark.parametrize(
    ("names", "following"),
    [
        (["team/app"], "?n=100"),
        (["team/app"], "?last={n}"),
        ([], "?last={n}"),
        (["team/app{n}"], "?last={n}"),
    ],
)
@pytest.mark.parametrize(("part", "key", "of"), [("/_catalog", "repositories", "**"), ("/tags/", "tags", "team/app")])
def test_a_list_that_never_ends_is_given_up(
    admin: User,
    source: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
    key: str,
    of: str,
    names: list[str],
    following: str,
) -> None:
    """It names itself as its next page, says the same again and again, says nothing, or thinks up something new."""
    monkeypatch.setattr(lists, "MAX_PAGES", 30)
    listed = [name.replace("team/", "") for name in names] if key == "tags" else names
    source.faults.append(on("GET", part, page_of(key, names=listed, following=following)))
    execution = pulled(admin, source, of)
    assert (execution.status, "never ends" in said(execution)) == (Status.ERROR, True), said(execution)
    assert len(source.asked("GET", part)) <= 30 * 4
    assert nothing_is_stored()


def test_a_repository_that_has_lost_its_tags_stops_nothing(admin: User, source: StandIn) -> None:
    """Many a catalogue names what has been deleted; the tags of that are answered with 404."""
    source.faults.append(
        on("GET", "/_catalog", lambda call: call.say_json({"repositories": ["team/app", "team/gone"]}))
    )
    execution = pulled(admin, source)
    assert (execution.status, execution.tasks.count()) == (Status.SUCCESS, 1), said(execution)


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_a_registry_without_a_catalogue_wants_names_in_full(admin: User, source: StandIn, status: int) -> None:
    source.faults.append(on("GET", "/_catalog", lambda call: call.say(status)))
    execution = pulled(admin, source)
    assert (execution.status, "name them in full" in said(execution)) == (Status.ERROR, True), said(execution)


def test_the_next_page_is_never_asked_for_elsewhere(admin: User, source: StandIn) -> None:
    """A proxy in front may get its own name wrong, so the rest of the address is followed where the list began."""
    with standin() as other:
        first = on(
            "GET",
            "/_catalog",
            lambda call: call.say_json({"repositories": []}, Link=f'<{other.url}/v2/_catalog?last=a>; rel="next"'),
            times=1,
        )
        source.faults.append(first)
        execution = pulled(admin, source)
        assert execution.status == Status.SUCCESS, said(execution)
        assert other.seen == []
    assert [seen.path for seen in source.asked("GET", "/_catalog")] == ["/v2/_catalog?n=100", "/v2/_catalog?last=a"]
    assert Artifact.objects.get().digest == IMAGE.digest


NO_LISTS: list[bytes] = [
    HTML,
    b"",
    b"[]",
    b"null",
    b'{"KEY": 5}',
    b'{"KEY": {"team/app": true}}',
    b'{"KEY": "team/app"}',
    b"[" * 100_000,
    b'{"KEY": [' + b"9" * 10_000 + b"]}",
]


@pytest.mark.parametrize("body", NO_LISTS)
@pytest.mark.parametrize(("part", "key", "of"), [("/_catalog", "repositories", "**"), ("/tags/", "tags", "team/app")])
def test_what_is_no_list_is_said_to_be_none(
    admin: User, source: StandIn, part: str, key: str, of: str, body: bytes
) -> None:
    source.faults.append(on("GET", part, lambda call: call.say(200, body.replace(b"KEY", key.encode()))))
    execution = pulled(admin, source, of)
    assert execution.status == Status.ERROR, said(execution)
    assert any(text in said(execution) for text in ("does not answer with a list", "does not answer with JSON"))
    assert nothing_is_stored()


@pytest.mark.parametrize(
    ("method", "part"), [("GET", "/_catalog"), ("GET", "/tags/"), ("GET", "/referrers/"), ("GET", "/manifests/")]
)
def test_an_endless_answer_is_given_up(admin: User, source: StandIn, method: str, part: str) -> None:
    source.faults.append(on(method, part, endless))
    execution = pulled(admin, source)
    assert (execution.status, "answers with too much" in said(execution)) == (Status.ERROR, True), said(execution)
    assert nothing_is_stored()


def test_an_endless_blob_and_an_endless_refusal_are_given_up(admin: User, source: StandIn) -> None:
    source.faults.append(on("GET", f"/blobs/{IMAGE.blobs[1].digest}", endless))
    execution = pulled(admin, source)
    assert (execution.status, "more bytes of a blob" in said(execution)) == (Status.ERROR, True), said(execution)
    assert nothing_is_stored()

    source.faults[:] = [on("GET", "/_catalog", lambda call: endless(call, 403))]
    execution = carry_out_to_the_end(executions.start(policy=ReplicationPolicy.objects.get()))
    assert (execution.status, "does not list its repositories" in said(execution)) == (Status.ERROR, True)


# --- tokens -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "token",
    [
        {"token": "x" * 5_000_000},
        {"token": "x\r\nX-Forged: 1"},
        {"token": ["good"]},
        {"token": ""},
        ["good"],
    ],
)
def test_what_is_no_token_is_said_and_never_sent(admin: User, source: StandIn, token: Any) -> None:
    source.realm = f"{source.url}/token"
    source.faults.append(on("GET", "/token", lambda call: call.say_json(token)))
    execution = pulled(admin, source)
    assert execution.status == Status.ERROR
    assert any(text in said(execution) for text in ("gives no token", "answers with too much")), said(execution)[:2000]
    assert not any(seen.authorization.startswith("Bearer") for seen in source.seen)
    assert nothing_is_stored()


@pytest.mark.parametrize(
    "lifetime", ["1e999", "-1e999", "NaN", "-5", "0", "1" + "0" * 400, '"300"', "true", "null", "[]"]
)
def test_a_token_may_say_any_nonsense_about_its_lifetime(admin: User, source: StandIn, lifetime: str) -> None:
    source.realm = f"{source.url}/token"
    answer = f'{{"token": "good", "expires_in": {lifetime}}}'.encode()
    source.faults.append(on("GET", "/token", lambda call: call.say(200, answer)))
    execution = pulled(admin, source)
    assert execution.status == Status.SUCCESS, said(execution)


# --- what belongs to a manifest ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        {"manifests": [5, None, [], {"digest": 7}, {"digest": "sha256:../../x"}, {}]},
        {"manifests": None},
        {},
    ],
)
def test_nonsense_about_signatures_does_not_stop_the_image(admin: User, source: StandIn, answer: Any) -> None:
    source.faults.append(on("GET", "/referrers/", lambda call: call.say_json(answer)))
    execution = pulled(admin, source)
    assert execution.status == Status.SUCCESS, said(execution)
    assert Artifact.objects.get().digest == IMAGE.digest


@pytest.mark.parametrize("answer", [{"manifests": 5}, [], None])
def test_signatures_that_are_no_list_are_said_to_be_none(admin: User, source: StandIn, answer: Any) -> None:
    """Passed over, they would be lost unseen."""
    source.faults.append(on("GET", "/referrers/", lambda call: call.say_json(answer)))
    execution = pulled(admin, source)
    assert (execution.status, "does not answer with a list" in said(execution)) == (Status.ERROR, True)
    assert nothing_is_stored()


@pytest.mark.parametrize("status", [200, 303, 400, 404, 405, 501])
def test_a_registry_without_the_referrers_api_may_say_so_in_its_way(admin: User, source: StandIn, status: int) -> None:
    signature = images.artifact(b"signature", subject=IMAGE)
    source.hold("team/app", "x", signature)
    del source.manifests["team/app", "x"]
    source.hold("team/app", IMAGE.digest.replace(":", "-"), images.index_of(signature))
    page = {"Content_Type": "text/html", "Location": "/home"}
    source.faults.append(on("GET", "/referrers/", lambda call: call.say(status, HTML, **page)))
    rule = policy(admin, registered(source), "team/app", pull=True)
    rule.filters.append({"type": "tag", "value": "v*"})
    rule.save()
    execution = carry_out(executions.start(policy=rule))
    assert execution.status == Status.SUCCESS, said(execution)
    assert Artifact.objects.filter(digest=signature.digest, subject_digest=IMAGE.digest).exists()


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"manifests": 5}', b"[" * 100_000, b'{"manifests": [5]}'])
def test_nonsense_under_the_tag_of_signatures_is_said(admin: User, source: StandIn, data: bytes) -> None:
    """Where there is no referrers API, they are listed under a tag."""
    tag = IMAGE.digest.replace(":", "-")
    source.faults.append(on("GET", "/referrers/", lambda call: call.say(404)))
    source.hold("team/app", tag, Manifest(OCI_INDEX, data))
    execution = pulled(admin, source)
    assert (execution.status, "is not valid" in said(execution)) == (Status.ERROR, True), said(execution)
    assert not Artifact.objects.filter(digest=digest_of(data)).exists()


def test_signatures_that_sign_each_other_end(admin: User, source: StandIn) -> None:
    one, other = images.artifact(b"one", subject=IMAGE), images.artifact(b"other", subject=IMAGE)
    for each in (one, other):
        source.hold("team/app", "x", each)
    del source.manifests["team/app", "x"]
    everything = [IMAGE.descriptor, one.descriptor, other.descriptor]
    source.faults.append(on("GET", "/referrers/", lambda call: call.say_json({"manifests": everything})))
    execution = pulled(admin, source)
    assert execution.status == Status.SUCCESS, said(execution)
    assert set(Artifact.objects.values_list("digest", flat=True)) == {IMAGE.digest, one.digest, other.digest}


def test_signatures_are_listed_page_by_page(admin: User, source: StandIn) -> None:
    """A registry may give some at a time."""
    signatures = [images.artifact(b"%d" % number, subject=IMAGE) for number in range(3)]
    for each in signatures:
        source.hold("team/app", "x", each)
    del source.manifests["team/app", "x"]

    def page(call: Call) -> None:
        if IMAGE.digest not in call.path:
            call.say_json({"manifests": []})
            return
        number = int(parse_qs(urlsplit(call.path).query).get("page", ["0"])[0])
        following = {"Link": f'<{urlsplit(call.path).path}?page={number + 1}>; rel="next"'} if number < 2 else {}
        call.say_json({"manifests": [signatures[number].descriptor]}, 200, **following)

    source.faults.append(on("GET", "/referrers/", page))
    execution = pulled(admin, source)
    assert execution.status == Status.SUCCESS, said(execution)
    found = Artifact.objects.filter(subject_digest=IMAGE.digest).values_list("digest", flat=True)
    assert set(found) == {each.digest for each in signatures}


def test_indexes_in_indexes_have_an_end(admin: User, source: StandIn) -> None:
    nested = images.image("nested")
    for _level in range(20):
        nested = images.index_of(nested)
    source.hold("team/deep", "v1", nested)
    execution = pulled(admin, source, "team/deep")
    assert (execution.status, "nested too deeply" in said(execution)) == (Status.ERROR, True), said(execution)
    assert nothing_is_stored()


def test_an_index_that_claims_to_hold_itself_is_refused(admin: User, source: StandIn) -> None:
    """No index can name its own digest, so a source that pretends sends one that differs from its name."""
    digest = "sha256:" + "a" * 64
    entry = {"mediaType": OCI_INDEX, "digest": digest, "size": 500}
    data = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).encode()
    source.manifests["team/round", "v1"] = source.manifests["team/round", digest] = (OCI_INDEX, data)
    source.faults.append(
        on("HEAD", "/team/round/manifests/", lambda call: call.say(200, b"", Docker_Content_Digest=digest))
    )
    execution = pulled(admin, source, "team/round")
    assert (execution.status, "in truth" in said(execution)) == (Status.ERROR, True), said(execution)
    assert nothing_is_stored()


# --- a Harbor that is none --------------------------------------------------------------------------------


def as_harbor(source: StandIn, **pages: Any) -> None:
    """Its REST API; each of `pages` may be a document or an answer."""
    known: dict[str, Any] = {
        "projects": [{"name": "team", "metadata": {"public": "true"}}],
        "repositories": [{"name": "team/app"}],
        "artifacts": [{"digest": IMAGE.digest, "type": "IMAGE", "tags": [{"name": "v1"}], "labels": None}],
        **pages,
    }
    source.faults.append(on("GET", "/api/version", lambda call: call.say_json({"version": "v2.0"})))
    for part in ("artifacts", "repositories", "projects"):
        page = known[part]
        answer = page if callable(page) else lambda call, page=page: call.say_json(page)
        source.faults.append(on("GET", f"/{part}?", answer))


def test_a_harbor_is_listed_by_its_interface(admin: User, source: StandIn) -> None:
    as_harbor(source)
    execution = pulled(admin, source, "team/**", type="harbor")
    assert execution.status == Status.SUCCESS, said(execution)
    assert list(Artifact.objects.values_list("digest", "tags__name")) == [(IMAGE.digest, "v1")]


@pytest.mark.parametrize(
    "pages",
    [
        {"projects": {"name": "team"}},
        {"projects": [{}]},
        {"projects": [{"name": 5}]},
        {"projects": [{"name": "team", "metadata": "public"}]},
        {"repositories": [{}]},
        {"repositories": [{"name": None}]},
        {"repositories": 5},
        {"artifacts": [{}]},
        {"artifacts": [{"digest": "sha256:../../x"}]},
        {"artifacts": [{"digest": IMAGE.digest, "tags": "v1"}]},
        {"artifacts": [{"digest": IMAGE.digest, "tags": ["v1"]}]},
        {"artifacts": [{"digest": IMAGE.digest, "tags": [{"name": "v1"}], "labels": 7}]},
        {"artifacts": [5]},
        {"artifacts": lambda call: call.say(200, HTML)},
        {"artifacts": endless},
    ],
)
def test_a_harbor_that_answers_nonsense_is_said_to(admin: User, source: StandIn, pages: dict[str, Any]) -> None:
    as_harbor(source, **pages)
    execution = pulled(admin, source, "team/**", type="harbor")
    expected = ("does not answer with a list", "does not answer with JSON", "answers with too much")
    assert execution.status == Status.ERROR, said(execution)
    assert any(text in said(execution) for text in expected), said(execution)
    assert nothing_is_stored()


def test_odd_names_of_a_harbor_are_passed_over(admin: User, source: StandIn) -> None:
    """Among them those of another project than the one asked about, and tags that could never be pulled."""
    odd = [{"name": name} for name in ("team/../../etc", "team/UPPER", "other/app", "team/app", "team/" + "a/" * 300)]
    tags = [{"name": name} for name in ("v1", "../v2", "", "x" * 200, "a b")]
    as_harbor(source, repositories=odd, artifacts=[{"digest": IMAGE.digest, "tags": tags}])
    execution = pulled(admin, source, "**", type="harbor")
    assert execution.status == Status.SUCCESS, said(execution)
    assert list(Artifact.objects.values_list("repository__name", "tags__name")) == [("team/app", "v1")]
    assert not any(".." in seen.path or "%2E" in seen.path for seen in source.seen)


def test_a_list_of_a_harbor_that_never_ends_is_given_up(
    admin: User, source: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "MAX_PAGES", 30)

    def again(call: Call) -> None:
        call.say_json([{"name": "team/app"}], Link=f'<{call.path}>; rel="next"')

    as_harbor(source, repositories=again)
    execution = pulled(admin, source, "team/**", type="harbor")
    assert (execution.status, "never ends" in said(execution)) == (Status.ERROR, True), said(execution)
    assert nothing_is_stored()


# --- being registered -------------------------------------------------------------------------------------


def test_a_page_for_people_is_no_registry(admin: User, far: StandIn) -> None:
    """Many a site answers every address with its own page."""
    far.faults.append(on("GET", "/", lambda call: call.say(200, HTML, Content_Type="text/html; charset=utf-8")))
    for kind in ("docker-registry", "harbor"):
        described = registries.Description(name="site", type=kind, url=far.url)
        with pytest.raises(RegistryUnhealthy, match="is no registry"):
            registries.create_registry(description=described, actor=admin)
