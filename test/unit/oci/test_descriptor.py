"""Descriptors and platforms, of which an archive or a registry may say anything."""

import pytest

from pipe.oci.descriptor import Descriptor, Platform

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param({"os": "linux", "architecture": "amd64"}, "linux/amd64", id="two-parts"),
        pytest.param({"os": "linux", "architecture": "arm", "variant": "v7"}, "linux/arm/v7", id="variant"),
        pytest.param({"os": "windows", "architecture": "amd64", "os.version": "10.0.1"}, "windows/amd64", id="windows"),
        pytest.param({"os": "linux\n✔ Pushed", "architecture": "amd64"}, "amd64", id="a-line-of-its-own"),
        pytest.param({"os": "\x1b[2J", "architecture": "x" * 65}, "", id="a-terminal's-command"),
        pytest.param({"os": 1, "architecture": None}, "", id="no-text"),
        pytest.param({}, "", id="nothing"),
    ],
)
def test_a_platform_is_written_as_docker_does(value: object, text: str) -> None:
    assert str(Platform.parse(value)) == text


@pytest.mark.parametrize("value", [None, [], "linux/amd64", 1], ids=repr)
def test_what_is_no_platform(value: object) -> None:
    assert Platform.parse(value) is None


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        pytest.param([], "must be an object", id="a-list"),
        pytest.param({"size": 1}, "digest", id="no-digest"),
        pytest.param({"digest": "sha512:" + "0" * 128, "size": 1}, "SHA-512 digests are not supported", id="sha512"),
        pytest.param({"digest": "md5:" + "0" * 32, "size": 1}, "digest must be 'sha256:'", id="another-algorithm"),
        pytest.param({"digest": "sha256:../../../etc/passwd", "size": 1}, "digest", id="a-path"),
        pytest.param({"digest": DIGEST}, "size", id="no-size"),
        pytest.param({"digest": DIGEST, "size": -1}, "size", id="negative"),
        pytest.param({"digest": DIGEST, "size": 2**63}, "size", id="huge"),
        pytest.param({"digest": DIGEST, "size": True}, "size", id="a-truth"),
        pytest.param({"digest": DIGEST, "size": 1.0}, "size", id="a-fraction"),
        pytest.param({"digest": DIGEST, "size": 1, "mediaType": 1}, "mediaType", id="media-type"),
    ],
)
def test_what_is_no_descriptor(value: object, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        Descriptor.parse(value)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"digest": DIGEST, "size": 1}, id="absent"),
        pytest.param(
            dict.fromkeys(["mediaType", "platform", "urls", "annotations"]) | {"digest": DIGEST, "size": 1}, id="null"
        ),
        pytest.param({"Digest": DIGEST, "SIZE": 1, "annotations": {}, "urls": []}, id="capitals"),
        pytest.param({"digest": DIGEST, "size": 1, "artifactType": "x", "data": ""}, id="unknown"),
    ],
)
def test_what_is_optional_in_a_descriptor(value: object) -> None:
    assert Descriptor.parse(value) == Descriptor("", DIGEST, 1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({"platform": {"os": "unknown", "architecture": "unknown"}}, True, id="unknown-platform"),
        pytest.param({"annotations": {"vnd.docker.reference.type": "attestation-manifest"}}, True, id="annotation"),
        pytest.param({"platform": {"os": "linux", "architecture": "amd64"}}, False, id="image"),
        pytest.param({}, False, id="nothing"),
    ],
)
def test_attestations(value: dict[str, object], expected: bool) -> None:
    assert Descriptor.parse({"digest": DIGEST, "size": 1} | value).is_attestation is expected


def test_what_else_a_descriptor_says_is_read_as_far_as_it_makes_sense() -> None:
    value = {"digest": DIGEST, "size": 1, "urls": ["https://example.com", 2], "annotations": {"a": "b", "c": 3}}
    assert Descriptor.parse(value) == Descriptor("", DIGEST, 1, None, ("https://example.com",), {"a": "b"})
    odd = Descriptor.parse({"digest": DIGEST, "size": 1, "urls": "x", "annotations": []})
    assert (odd.urls, odd.annotations) == ((), {})
