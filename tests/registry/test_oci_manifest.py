"""Manifests: what is read out of every supported format, and which documents are refused."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.oci import media_types
from registry.oci.digest import Digest
from registry.oci.manifest import (
    Accessory,
    ManifestError,
    Platform,
    UnsupportedManifestError,
    parse,
)

CONFIG = b'{"architecture":"amd64"}'
LAYER = b"layer"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

Json = dict[str, Any]


def descriptor(content: bytes, media_type: str, algorithm: str = "sha256", **more: Any) -> Json:
    return {
        "mediaType": media_type,
        "digest": str(Digest.of(content, algorithm)),
        "size": len(content),
        **more,
    }


def image(**changes: Any) -> Json:
    return {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "config": descriptor(CONFIG, media_types.OCI_IMAGE_CONFIG),
        "layers": [descriptor(LAYER, OCI_LAYER)],
        **changes,
    }


def index(**changes: Any) -> Json:
    amd64 = {"architecture": "amd64", "os": "linux"}
    return {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_INDEX,
        "manifests": [descriptor(b"amd64", media_types.OCI_MANIFEST, platform=amd64)],
        **changes,
    }


def raw(document: object) -> bytes:
    return json.dumps(document).encode()


def parse_image(**changes: Any) -> Any:
    return parse(raw(image(**changes)), media_types.OCI_MANIFEST)


def test_an_oci_image_says_what_it_is_made_of() -> None:
    content = raw(image(annotations={"a": "b"}))
    manifest = parse(content, media_types.OCI_MANIFEST)
    assert not manifest.is_index
    assert manifest.config is not None
    assert manifest.config.digest == Digest.of(CONFIG)
    assert [layer.size for layer in manifest.layers] == [len(LAYER)]
    assert [blob.digest for blob in manifest.blobs] == [Digest.of(CONFIG), Digest.of(LAYER)]
    assert manifest.annotations == {"a": "b"}
    assert manifest.size == len(content) + len(CONFIG) + len(LAYER)
    assert (manifest.type, manifest.media_type) == ("IMAGE", media_types.OCI_IMAGE_CONFIG)
    assert manifest.artifact_type == media_types.OCI_IMAGE_CONFIG
    assert manifest.accessory("latest") is None


def test_a_docker_image_is_an_image() -> None:
    document = image(mediaType=media_types.DOCKER_MANIFEST, config=descriptor(CONFIG, media_types.DOCKER_IMAGE_CONFIG))
    manifest = parse(raw(document), media_types.DOCKER_MANIFEST)
    assert (manifest.manifest_media_type, manifest.type) == (media_types.DOCKER_MANIFEST, "IMAGE")


@pytest.mark.parametrize("media_type", [media_types.OCI_INDEX, media_types.DOCKER_MANIFEST_LIST])
def test_an_index_names_its_children_and_their_platforms(media_type: str) -> None:
    arm = {"architecture": "arm", "os": "linux", "variant": "v7", "os.version": "1", "os.features": ["x"]}
    child = descriptor(b"arm", media_types.OCI_MANIFEST, platform=arm, annotations={"k": "v"}, urls=["https://x"])
    content = raw(index(mediaType=media_type, manifests=[child]))
    manifest = parse(content, media_type)
    assert manifest.is_index
    assert manifest.children[0].platform == Platform("arm", "linux", "1", ("x",), "v7")
    assert manifest.children[0].platform.as_json() == arm
    assert manifest.children[0].annotations == {"k": "v"}
    assert manifest.children[0].urls == ("https://x",)
    assert manifest.blobs == ()
    assert manifest.size == len(content)
    assert (manifest.type, manifest.media_type, manifest.artifact_type) == ("IMAGE", media_type, "")


def test_an_index_may_hold_an_index_and_may_be_empty() -> None:
    nested = parse(raw(index(manifests=[descriptor(b"i", media_types.OCI_INDEX)])), media_types.OCI_INDEX)
    assert nested.children[0].media_type == media_types.OCI_INDEX
    assert parse(raw(index(manifests=None)), media_types.OCI_INDEX).children == ()


def test_an_artifact_with_an_empty_config_and_no_layers_is_fine() -> None:
    empty = descriptor(b"{}", media_types.OCI_EMPTY, data=base64.b64encode(b"{}").decode())
    for layers in ([], None, [empty]):
        manifest = parse_image(config=empty, layers=layers, artifactType="application/vnd.example")
        assert (manifest.artifact_type, manifest.type) == ("application/vnd.example", "UNKNOWN")
        assert [blob.digest for blob in manifest.blobs] == [Digest.of(b"{}")]


def test_fields_nobody_knows_are_tolerated() -> None:
    odd = descriptor(LAYER, OCI_LAYER, extra=[{"deep": None}])
    assert parse_image(**{"org.example.custom": 1, "layers": [odd]}).layers[0].digest == Digest.of(LAYER)


def test_sha512_descriptors_are_as_good_as_sha256_ones() -> None:
    data = base64.b64encode(LAYER).decode()
    manifest = parse_image(layers=[descriptor(LAYER, OCI_LAYER, "sha512", data=data)])
    assert manifest.layers[0].digest.algorithm == "sha512"


@pytest.mark.parametrize(
    "media_type",
    [media_types.DOCKER_FOREIGN_LAYER + ".gzip", media_types.OCI_NONDISTRIBUTABLE_LAYER + "+gzip"],
)
def test_foreign_layers_need_not_be_here(media_type: str) -> None:
    foreign = descriptor(b"windows", media_type, urls=["https://example.com/layer"])
    manifest = parse_image(layers=[foreign, descriptor(LAYER, OCI_LAYER), foreign])
    assert [blob.digest for blob in manifest.blobs] == [Digest.of(CONFIG), Digest.of(LAYER)]
    assert [blob.digest for blob in manifest.foreign_blobs] == [Digest.of(b"windows")]
    assert manifest.foreign_blobs[0].urls == ("https://example.com/layer",)


def test_an_ordinary_layer_with_urls_is_still_asked_for() -> None:
    manifest = parse_image(layers=[descriptor(LAYER, OCI_LAYER, urls=["https://example.com/layer"])])
    assert len(manifest.blobs) == 2


def test_parameters_of_the_content_type_do_not_matter() -> None:
    content_type = f"{media_types.OCI_MANIFEST}; charset=utf-8"
    assert parse(raw(image()), content_type).manifest_media_type == media_types.OCI_MANIFEST


def test_a_document_may_leave_its_media_type_to_the_header() -> None:
    document = image()
    del document["mediaType"]
    assert parse(raw(document), media_types.OCI_MANIFEST).config is not None


@pytest.mark.parametrize(
    ("changes", "kind", "media_type"),
    [
        ({"config": descriptor(b"c", media_types.HELM_CONFIG)}, "CHART", media_types.HELM_CONFIG),
        ({"artifactType": media_types.CNAI_MODEL}, "CNAI", media_types.OCI_IMAGE_CONFIG),
        ({"artifactType": media_types.HARBOR_SBOM}, "SBOM", media_types.OCI_IMAGE_CONFIG),
        ({"annotations": {"run.oci.handler": "wasm"}}, "WASM", media_types.WASM_CONFIG),
        ({"annotations": {"module.wasm.image/variant": "compat"}}, "WASM", media_types.WASM_CONFIG),
        ({"annotations": {"module.wasm.image/variant": "other"}}, "IMAGE", media_types.OCI_IMAGE_CONFIG),
        ({"config": descriptor(b"c", media_types.WASM_CONFIG)}, "WASM", media_types.WASM_CONFIG),
        (
            {"config": descriptor(b"c", "application/vnd.sylabs.sif.config.v1+json")},
            "SIF",
            "application/vnd.sylabs.sif.config.v1+json",
        ),
        ({"config": descriptor(b"c", "text/plain")}, "UNKNOWN", "text/plain"),
    ],
)
def test_the_kind_of_an_artifact_follows_harbor(changes: Json, kind: str, media_type: str) -> None:
    manifest = parse_image(**changes)
    assert (manifest.type, manifest.media_type) == (kind, media_type)


def test_an_index_may_name_its_type_in_an_annotation() -> None:
    document = index(annotations={"org.opencontainers.artifactType": media_types.CNAB_MANIFEST})
    manifest = parse(raw(document), media_types.OCI_INDEX)
    assert (manifest.type, manifest.media_type) == ("CNAB", media_types.CNAB_MANIFEST)


SUBJECT = descriptor(b"subject", media_types.OCI_MANIFEST)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"artifactType": media_types.COSIGN_SIGNATURE}, "signature.cosign"),
        ({"artifactType": media_types.SIGSTORE_BUNDLE}, "signature.cosign"),
        ({"config": descriptor(b"c", media_types.NOTATION_SIGNATURE)}, "signature.notation"),
        ({"artifactType": media_types.HARBOR_SBOM}, "sbom.harbor"),
        ({"artifactType": "application/vnd.example"}, "subject.accessory"),
        ({}, "subject.accessory"),
        (
            {"layers": [descriptor(LAYER, OCI_LAYER, annotations={"containerd.io/snapshot/nydus-bootstrap": "true"})]},
            "accelerator.nydus",
        ),
    ],
)
def test_a_manifest_with_a_subject_is_its_accessory(changes: Json, kind: str) -> None:
    manifest = parse_image(subject=SUBJECT, **changes)
    assert manifest.accessory() == Accessory(kind, Digest.of(b"subject"))


def test_a_cosign_tag_makes_a_signature_only_with_a_signing_layer() -> None:
    tag = f"sha256-{'a' * 64}.sig"
    signature = parse_image(layers=[descriptor(LAYER, media_types.COSIGN_SIMPLE_SIGNING)])
    assert signature.accessory(tag) == Accessory("signature.cosign", Digest("sha256", "a" * 64))
    assert signature.accessory(tag.replace(".sig", ".att")) is None
    assert signature.accessory("latest") is None
    assert parse_image().accessory(tag) is None


@pytest.mark.parametrize(
    "media_type",
    ["", "application/json", media_types.DOCKER_SCHEMA1, media_types.DOCKER_SCHEMA1_SIGNED, "text/html"],
)
def test_other_formats_are_unsupported_by_name(media_type: str) -> None:
    with pytest.raises(UnsupportedManifestError, match="unsupported manifest media type: ") as refusal:
        parse(raw(image()), media_type)
    assert str(refusal.value).endswith(media_type)


CONFUSED: list[tuple[str, Json]] = [
    ("another media type", image(mediaType=media_types.OCI_INDEX)),
    ("a media type that is no text", image(mediaType=2)),
    ("manifests in an image", image(manifests=[])),
    ("schema 1 layers", image(fsLayers=[])),
    ("Layers", image(Layers=[])),
    ("a long s in layers", image() | {"layer\u017f": []}),
    ("Digest", image(layers=[descriptor(LAYER, OCI_LAYER, Digest="sha256:" + "a" * 64)])),
    ("schemaVersion 1", image(schemaVersion=1)),
    ("schemaVersion true", image(schemaVersion=True)),
    ("schemaVersion 2.0", image(schemaVersion=2.0)),
]


@pytest.mark.parametrize("document", [pytest.param(document, id=name) for name, document in CONFUSED])
def test_a_document_with_two_readings_is_refused(document: Json) -> None:
    with pytest.raises(ManifestError):
        parse(raw(document), media_types.OCI_MANIFEST)


@pytest.mark.parametrize("key", ["layers", "config", "fsLayers"])
def test_an_index_with_image_fields_is_refused(key: str) -> None:
    with pytest.raises(ManifestError, match=key):
        parse(raw(index(**{key: None})), media_types.OCI_INDEX)


def test_a_repeated_key_is_refused() -> None:
    content = raw(image())[:-1] + b',"layers":[]}'
    with pytest.raises(ManifestError, match="repeated key"):
        parse(content, media_types.OCI_MANIFEST)


BROKEN: list[tuple[str, Json]] = [
    ("no config", image(config=None)),
    ("config is a list", image(config=[])),
    ("layers is an object", image(layers={})),
    ("a layer is null", image(layers=[None])),
    ("no digest", image(layers=[{"mediaType": OCI_LAYER, "size": 1}])),
    ("a digest is a number", image(layers=[descriptor(LAYER, OCI_LAYER) | {"digest": 1}])),
    ("a digest is malformed", image(layers=[descriptor(LAYER, OCI_LAYER) | {"digest": "sha256:zz"}])),
    ("an unknown algorithm", image(layers=[descriptor(LAYER, OCI_LAYER) | {"digest": "md5:" + "a" * 32}])),
    ("no size", image(layers=[descriptor(LAYER, OCI_LAYER) | {"size": None}])),
    ("a negative size", image(layers=[descriptor(LAYER, OCI_LAYER) | {"size": -1}])),
    ("a size of 2^63", image(layers=[descriptor(LAYER, OCI_LAYER) | {"size": 2**63}])),
    ("sizes that add up to 2^63", image(layers=[descriptor(LAYER, OCI_LAYER) | {"size": 2**62}] * 2)),
    ("a fractional size", image(layers=[descriptor(LAYER, OCI_LAYER) | {"size": 1.5}])),
    ("a boolean size", image(layers=[descriptor(LAYER, OCI_LAYER) | {"size": True}])),
    ("no media type", image(layers=[descriptor(LAYER, "")])),
    ("a media type over two lines", image(layers=[descriptor(LAYER, "a\nb")])),
    ("an endless media type", image(artifactType="a" * 256)),
    ("annotations in a list", image(annotations=["a"])),
    ("an annotation is a number", image(annotations={"a": 1})),
    ("an annotation is half a character", image(annotations={"a": "\ud800"})),
    ("urls is a text", image(layers=[descriptor(LAYER, OCI_LAYER, urls="x")])),
    ("a url is a number", image(layers=[descriptor(LAYER, OCI_LAYER, urls=[1])])),
    ("data is not base64", image(layers=[descriptor(LAYER, OCI_LAYER, data="*")])),
    ("data is other content", image(layers=[descriptor(LAYER, OCI_LAYER, data="e30=")])),
    ("subject is a text", image(subject=str(Digest.of(b"")))),
    ("a platform is a text", image(layers=[descriptor(LAYER, OCI_LAYER, platform="linux")])),
]


@pytest.mark.parametrize("document", [pytest.param(document, id=name) for name, document in BROKEN])
def test_a_broken_document_is_refused(document: Json) -> None:
    with pytest.raises(ManifestError):
        parse(raw(document), media_types.OCI_MANIFEST)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        json.dumps(image()).encode("utf-16"),
        b'{"a":NaN}',
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"a":' + b"9" * 10_000 + b"}",
    ],
    ids=range(12),
)
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    with pytest.raises(ManifestError):
        parse(content, media_types.OCI_MANIFEST)


def test_the_message_says_where_and_repeats_little() -> None:
    with pytest.raises(ManifestError, match=r"layers\[1\]\.digest: invalid digest") as refusal:
        parse_image(layers=[descriptor(LAYER, OCI_LAYER), descriptor(LAYER, OCI_LAYER) | {"digest": "é" * 10_000}])
    assert len(str(refusal.value)) < 200


types = st.sampled_from(sorted(media_types.SUPPORTED))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
keys = ["mediaType", "digest", "size", "urls", "annotations", "data", "platform", "artifactType"]
descriptors = st.fixed_dictionaries({}, optional=dict.fromkeys(keys, values)) | values
documents = st.fixed_dictionaries(
    {"schemaVersion": st.just(2)},
    optional={
        "mediaType": types,
        "config": descriptors,
        "layers": st.lists(descriptors, max_size=2) | values,
        "manifests": st.lists(descriptors, max_size=2) | values,
        "subject": descriptors,
        "annotations": values,
    },
)


def refusal_of(content: bytes, content_type: str) -> str:
    """Why the content is refused, empty if it is a manifest; any other exception fails the test."""
    try:
        manifest = parse(content, content_type)
    except ManifestError as error:
        return str(error)
    assert manifest.size >= len(content)
    assert manifest.type
    return ""


@given(st.binary() | documents.map(raw), types | st.text())
def test_whatever_is_pushed_parses_or_is_refused(content: bytes, content_type: str) -> None:
    assert refusal_of(content, content_type).isprintable()


@given(
    st.sampled_from([image(), index()]),
    st.sampled_from(["config", "layers", "manifests", "subject"]),
    descriptors,
)
def test_a_good_document_with_one_part_replaced_parses_or_is_refused(document: Json, key: str, part: object) -> None:
    changed = document | {key: [part] if key in ("layers", "manifests") else part}
    assert refusal_of(raw(changed), document["mediaType"]).isprintable()
