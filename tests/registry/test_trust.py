"""Content trust: what is not signed is not given away where the project asks for signatures."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client, RequestFactory

from projects.models import Project, ProjectMetadata, User
from registry.models import Repository
from registry.oci import media_types
from registry.services import pulls
from registry.v2.hot import plain_answer
from tests import images
from tests.factories import bearer_client, client_for, token_for
from tests.images import Manifest, artifact, image, index
from tests.registry import wire

APP = "library/app"
SIGNATURES = {"cosign": media_types.COSIGN_SIGNATURE, "notation": media_types.NOTATION_SIGNATURE}
SETTINGS = {"cosign": "enable_content_trust_cosign", "notation": "enable_content_trust"}


@pytest.fixture
def guest(library: Project, bob: User) -> Client:
    """A client of bob, a guest of `library`, with a token."""
    return bearer_client(token_for(bob, f"repository:{APP}:pull"))


def demand(owner: Client, maker: str, value: str = "true") -> None:
    answer = owner.put(
        f"/api/v2.0/projects/library/metadatas/{SETTINGS[maker]}", {SETTINGS[maker]: value}, "application/json"
    )
    assert answer.status_code == 200, answer.content


def sign(owner: Client, subject: Manifest, maker: str = "cosign") -> Manifest:
    made = artifact(b"signature", artifact_type=SIGNATURES[maker], subject=subject)
    assert wire.push(owner, APP, made).status_code == 201
    return made


def cosign_by_tag(owner: Client, subject: Manifest) -> Any:
    """As cosign did before there were subjects."""
    payload, config = images.Blob(media_types.COSIGN_SIMPLE_SIGNING, b"{}"), images.Blob(images.OCI_CONFIG, b"{}")
    document = {
        "schemaVersion": 2,
        "mediaType": images.OCI_MANIFEST,
        "config": config.descriptor,
        "layers": [payload.descriptor],
    }
    made = Manifest(images.OCI_MANIFEST, images._json(document), (config, payload))
    return wire.push(owner, f"{APP}:{subject.digest.replace(':', '-')}.sig", made)


def is_refused(client: Client, reference: str, maker: str = "cosign", method: str = "GET") -> bool:
    """Whether a pull meets Harbor's answer; any other refusal is a mistake of the test."""
    answer = client.generic(method, f"/v2/{APP}/manifests/{reference}", headers=wire.ACCEPT)
    if answer.status_code == 200:
        return False
    assert answer.status_code == 412
    if method == "GET":
        assert answer.json()["errors"] == [
            {"code": "PROJECTPOLICYVIOLATION", "message": f"The image is not signed by {maker}."}
        ]
    return True


@pytest.mark.parametrize("maker", ["cosign", "notation"])
def test_an_unsigned_image_is_refused_until_it_is_signed(owner: Client, guest: Client, maker: str) -> None:
    pushed = image()
    wire.push(owner, f"{APP}:v1", pushed)
    assert not is_refused(guest, "v1")
    demand(owner, maker)
    for reference in ("v1", pushed.digest):
        for method in ("GET", "HEAD"):
            assert is_refused(guest, reference, maker, method)
            assert is_refused(owner, reference, maker, method)
    held = guest.get(f"/v2/{APP}/manifests/v1", headers={**wire.ACCEPT, "If-None-Match": f'"{pushed.digest}"'})
    assert held.status_code == 412
    other = "notation" if maker == "cosign" else "cosign"
    sign(owner, pushed, other)
    assert is_refused(guest, "v1", maker)
    sign(owner, pushed, maker)
    assert wire.get_manifest(guest, APP, "v1").content == pushed.data
    assert not is_refused(guest, pushed.digest, maker, "HEAD")
    demand(owner, other)
    assert not is_refused(guest, "v1")


def test_a_signature_by_tag_counts_and_is_itself_given_away(owner: Client, guest: Client) -> None:
    pushed = image()
    wire.push(owner, f"{APP}:v1", pushed)
    demand(owner, "cosign")
    assert is_refused(guest, "v1")
    assert cosign_by_tag(owner, pushed).status_code == 201
    assert not is_refused(guest, "v1")
    assert not is_refused(guest, pushed.digest.replace(":", "-") + ".sig")
    assert not is_refused(guest, sign(owner, pushed).digest)


def test_a_signature_of_another_repository_or_image_does_not_count(owner: Client, guest: Client) -> None:
    pushed, other = image(), image("other")
    wire.push(owner, f"{APP}:v1", pushed)
    wire.push(owner, f"{APP}:other", other)
    wire.push(owner, "library/copy:v1", pushed)
    wire.push(owner, "library/copy", artifact(artifact_type=SIGNATURES["cosign"], subject=pushed))
    sign(owner, other)
    demand(owner, "cosign")
    assert is_refused(guest, "v1")
    assert not is_refused(guest, "other")


def test_parts_of_a_signed_index_are_signed(owner: Client, guest: Client) -> None:
    """Clients pull the index first and then the part for their platform; cosign signs the index alone."""
    signed, unsigned = index("signed"), index("unsigned")
    for tag, made in (("signed", signed), ("unsigned", unsigned)):
        wire.push(owner, f"{APP}:{tag}", made)
    sign(owner, signed)
    demand(owner, "cosign")
    assert not is_refused(guest, "signed")
    assert not any(is_refused(guest, part.digest) for part in signed.children)
    assert is_refused(guest, "unsigned")
    assert all(is_refused(guest, part.digest) for part in unsigned.children)


def test_an_index_with_a_signed_part_leads_to_that_part(owner: Client, guest: Client) -> None:
    made = index()
    wire.push(owner, f"{APP}:multi", made)
    sign(owner, made.children[0])
    demand(owner, "cosign")
    assert not is_refused(guest, "multi")
    assert not is_refused(guest, made.children[0].digest)
    assert is_refused(guest, made.children[1].digest)


def test_who_signs_may_read_what_is_to_be_signed(library: Project, owner: Client, guest: Client, bob: User) -> None:
    """The name of a client opens nothing to who may not push."""
    wire.push(owner, f"{APP}:v1", image())
    demand(owner, "cosign")
    headers = {**wire.ACCEPT, "User-Agent": "cosign/v2.4.1 (linux; amd64) go-containerregistry"}
    pusher = bearer_client(token_for(library.owner, f"repository:{APP}:pull,push"))
    for client, expected in ((owner, 200), (pusher, 200), (guest, 412), (client_for(bob), 412)):
        assert client.get(f"/v2/{APP}/manifests/v1", headers=headers).status_code == expected


def test_what_is_refused_is_no_pull_and_blobs_are_not_asked(owner: Client, guest: Client) -> None:
    """As in Harbor: who knows the digest of a blob has seen the manifest, at a time when that was allowed."""
    pushed = image()
    wire.push(owner, f"{APP}:v1", pushed)
    demand(owner, "cosign")
    assert is_refused(guest, "v1")
    pulls.flush()
    assert Repository.objects.get(name=APP).pull_count == 0
    assert wire.content(wire.get_blob(guest, APP, pushed.blobs[-1].digest)) == pushed.blobs[-1].data


def test_the_short_way_steps_aside_where_signatures_are_asked_for(owner: Client, guest: Client, bob: User) -> None:
    wire.push(owner, f"{APP}:v1", image())
    token = token_for(bob, f"repository:{APP}:pull")
    request = RequestFactory().get(
        f"/v2/{APP}/manifests/v1", headers={**wire.ACCEPT, "Authorization": f"Bearer {token}"}
    )
    assert plain_answer(dict(request.META)) is not None
    demand(owner, "notation")
    assert plain_answer(dict(request.META)) is None
    demand(owner, "notation", "false")
    assert plain_answer(dict(request.META)) is not None
    ProjectMetadata.objects.update(value="true")
    assert plain_answer(dict(request.META)) is None


def test_a_plain_pull_asks_no_more_than_before(
    owner: Client, bob: User, guest: Client, django_assert_num_queries: Any
) -> None:
    """Project and manifest: whether signatures are asked for comes with the manifest."""
    wire.push(owner, f"{APP}:v1", image())
    token = token_for(bob, f"repository:{APP}:pull")
    request = RequestFactory().get(
        f"/v2/{APP}/manifests/v1", headers={**wire.ACCEPT, "Authorization": f"Bearer {token}"}
    )
    assert plain_answer(dict(request.META)) is not None
    with django_assert_num_queries(2):
        assert plain_answer(dict(request.META)) is not None
