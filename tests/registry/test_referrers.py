"""What refers to a manifest: subjects, signatures told by their tag, and the fallback tag."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from registry.models import Artifact
from tests import images
from tests.factories import error_code
from tests.images import artifact, image, index_of
from tests.registry import wire

SBOM, OTHER = "application/vnd.example.sbom.v1+json", "application/vnd.example.other"


def referrers(client: Client, digest: str, query: str = "") -> Any:
    return client.get(f"/v2/library/app/referrers/{digest}{query}")


def test_artifacts_with_a_subject(owner: Client) -> None:
    subject = image()
    wire.push(owner, "library/app:v1", subject)
    sbom = artifact(subject=subject, artifact_type=SBOM)
    answer = wire.push(owner, "library/app", sbom)
    assert (answer.status_code, answer["OCI-Subject"]) == (201, subject.digest)
    wire.push(owner, "library/app", image("signed", subject=subject, annotations={"kind": "image"}))

    found = referrers(owner, subject.digest)
    assert (found.status_code, found["Content-Type"]) == (200, images.OCI_INDEX)
    assert found["X-Total-Count"] == "2"
    assert "OCI-Filters-Applied" not in found
    body = found.json()
    assert (body["schemaVersion"], body["mediaType"]) == (2, images.OCI_INDEX)
    assert body["manifests"][0] == {
        "mediaType": images.OCI_MANIFEST,
        "digest": sbom.digest,
        "size": len(sbom.data),
        "artifactType": SBOM,
    }
    assert body["manifests"][1]["artifactType"] == images.OCI_CONFIG
    assert body["manifests"][1]["annotations"] == {"kind": "image"}


def test_the_artifact_type_filters(owner: Client) -> None:
    subject = image()
    wire.push(owner, "library/app:v1", subject)
    sbom = artifact(subject=subject, artifact_type=SBOM)
    wire.push(owner, "library/app", sbom)
    wire.push(owner, "library/app", artifact(b"[]", subject=subject, artifact_type=OTHER))
    for wanted, expected in ((SBOM, [sbom.digest]), ("application/none", [])):
        found = referrers(owner, subject.digest, f"?artifactType={wanted.replace('+', '%2B')}")
        assert [entry["digest"] for entry in found.json()["manifests"]] == expected
        assert (found["OCI-Filters-Applied"], found["X-Total-Count"]) == ("artifactType", "2")


def test_nothing_refers_to_what_is_unknown(owner: Client) -> None:
    for address in ("library/app", "library/none"):
        found = owner.get(f"/v2/{address}/referrers/sha256:{'1' * 64}")
        assert (found.status_code, found.json()["manifests"]) == (200, [])


def test_a_subject_may_come_later(owner: Client) -> None:
    subject = image()
    sbom = artifact(subject=subject)
    assert wire.push(owner, "library/app", sbom)["OCI-Subject"] == subject.digest
    assert len(referrers(owner, subject.digest).json()["manifests"]) == 1
    wire.push(owner, "library/app:v1", subject)
    assert len(referrers(owner, subject.digest).json()["manifests"]) == 1


@pytest.mark.parametrize("text", ["multi", "sha256:short"])
def test_only_a_digest_has_referrers(owner: Client, text: str) -> None:
    answer = referrers(owner, text)
    assert (answer.status_code, error_code(answer)) == (400, "BAD_REQUEST")


def test_a_cosign_signature_is_told_by_its_tag(owner: Client) -> None:
    subject = image()
    wire.push(owner, "library/app:v1", subject)
    payload = images.Blob("application/vnd.dev.cosign.simplesigning.v1+json", b"{}")
    config = images.Blob(images.OCI_CONFIG, b"{}")
    document = {
        "schemaVersion": 2,
        "mediaType": images.OCI_MANIFEST,
        "config": config.descriptor,
        "layers": [payload.descriptor],
    }
    signature = images.Manifest(images.OCI_MANIFEST, images._json(document), (config, payload))
    wire.push(owner, "library/app", signature)
    assert Artifact.objects.get(digest=signature.digest).accessory_type == ""
    tag = subject.digest.replace(":", "-") + ".sig"
    answer = wire.put_manifest(owner, "library/app", tag, signature)
    assert "OCI-Subject" not in answer
    row = Artifact.objects.get(digest=signature.digest)
    assert (row.accessory_type, row.subject_digest) == ("signature.cosign", subject.digest)
    assert [entry["digest"] for entry in referrers(owner, subject.digest).json()["manifests"]] == [signature.digest]


def test_what_a_client_listed_under_the_fallback_tag_is_found(owner: Client) -> None:
    subject, sbom, listed = image(), artifact(), artifact(b"[]")
    wire.push(owner, "library/app:v1", subject)
    direct = artifact(b"[1]", subject=subject)
    wire.push(owner, "library/app", direct)
    fallback = index_of(sbom, listed, direct)
    tag = subject.digest.replace(":", "-")
    assert wire.push(owner, f"library/app:{tag}", fallback).status_code == 201
    found = referrers(owner, subject.digest)
    digests = [entry["digest"] for entry in found.json()["manifests"]]
    assert sorted(digests) == sorted([direct.digest, sbom.digest, listed.digest])
    assert found["X-Total-Count"] == "3"
