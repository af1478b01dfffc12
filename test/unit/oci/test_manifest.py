"""Manifests, as a registry returns them."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipe.oci.descriptor import Descriptor
from pipe.oci.manifest import MEDIA_TYPES, Manifest, media_type_of

IMAGE = {
    "schemaVersion": 2,
    "config": {"digest": "sha256:" + "c" * 64, "size": 7},
    "layers": [{"digest": "sha256:" + "b" * 64, "size": 10}, {"digest": "sha256:" + "a" * 64, "size": 20}],
}
INDEX = {
    "schemaVersion": 2,
    "manifests": [
        {"digest": "sha256:" + "d" * 64, "size": 1, "platform": {"os": "linux", "architecture": "amd64"}},
        {"digest": "sha256:" + "f" * 64, "size": 1, "platform": {"os": "unknown", "architecture": "unknown"}},
        {"digest": "sha256:" + "e" * 64, "size": 1},
    ],
}


def parsed(content: object) -> Manifest:
    """Parse what a registry would store as JSON."""
    return Manifest.parse(MEDIA_TYPES[0], json.dumps(content).encode())


def test_an_image_names_its_config_and_layers() -> None:
    manifest = parsed(IMAGE)
    assert manifest.config == "sha256:" + "c" * 64
    assert manifest.layers == (Descriptor("", "sha256:" + "b" * 64, 10), Descriptor("", "sha256:" + "a" * 64, 20))
    assert manifest.images == ()


def test_an_index_names_its_images_without_attestations() -> None:
    manifest = parsed(INDEX)
    assert manifest.config is None
    assert manifest.layers == ()
    assert manifest.images == ("sha256:" + "d" * 64, "sha256:" + "e" * 64)


def test_the_digest_is_that_of_the_very_bytes() -> None:
    body = b'{ "schemaVersion" : 2 }\n'
    assert Manifest.parse("", body).digest == f"sha256:{hashlib.sha256(body).hexdigest()}"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param([], id="list"),
        pytest.param("text", id="text"),
        pytest.param(None, id="null"),
        pytest.param({"config": [], "layers": {}, "manifests": 1}, id="other-types"),
        pytest.param({"config": {"digest": "x", "size": 1}, "layers": [None, {}]}, id="no-digests"),
        pytest.param({"layers": [{"digest": "sha256:" + "b" * 64, "size": "1"}]}, id="size-as-text"),
        pytest.param({"manifests": [3, {"digest": 3, "size": 3}]}, id="numbers"),
    ],
)
def test_what_makes_no_sense_is_left_out(content: object) -> None:
    manifest = parsed(content)
    assert (manifest.config, manifest.layers, manifest.images) == (None, (), ())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["config", "layers", "manifests", "digest", "size", "platform"]), inner)
    ),
    max_leaves=10,
)


@given(json_values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=50) | st.just(b"[" * 100_000))
def test_any_body_is_read(body: bytes) -> None:
    assert Manifest.parse("", body).body == body


@pytest.mark.parametrize(
    ("content", "default", "expected"),
    [
        pytest.param({"mediatype": MEDIA_TYPES[0]}, MEDIA_TYPES[1], MEDIA_TYPES[0], id="its-own"),
        pytest.param({}, MEDIA_TYPES[1], MEDIA_TYPES[1], id="of-its-descriptor"),
        pytest.param({"manifests": []}, "", MEDIA_TYPES[3], id="an-index"),
        pytest.param({}, "", MEDIA_TYPES[2], id="an-image"),
    ],
)
def test_media_types(content: dict[str, object], default: str, expected: str) -> None:
    assert media_type_of(content, default) == expected


@pytest.mark.parametrize("value", [["x"], {"x": 1}, 1, True], ids=repr)
def test_a_media_type_that_is_not_a_string(value: object) -> None:
    with pytest.raises(ValueError, match="has a mediaType that is not a string"):
        media_type_of({"mediatype": value})


AS_THE_ENGINE_MAKES_IT = """{
   "schemaVersion": 2,
   "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
   "config": {
      "mediaType": "application/vnd.docker.container.image.v1+json",
      "size": 7023,
      "digest": "CONFIG"
   },
   "layers": [
      {
         "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
         "size": 32654,
         "digest": "LAYER"
      }
   ]
}"""


def test_a_manifest_is_made_as_the_engine_makes_it() -> None:
    config, layer = Descriptor("any", "sha256:" + "c" * 64, 7023), Descriptor("any", "sha256:" + "a" * 64, 32654)
    manifest = Manifest.of_docker(config, (layer,))
    expected = AS_THE_ENGINE_MAKES_IT.replace("CONFIG", config.digest).replace("LAYER", layer.digest)
    assert manifest.body.decode() == expected
    assert (manifest.config, manifest.layers[0].digest) == (config.digest, layer.digest)
