"""Platforms of images, and indexes made of them."""

import json

import pytest

from pipe.oci.index import entries_of, entry_of, name_of, platform_of
from pipe.oci.manifest import OCI_INDEX, OCI_MANIFEST, Manifest

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("config", "platform"),
    [
        pytest.param({"os": "linux", "architecture": "amd64"}, {"architecture": "amd64", "os": "linux"}, id="usual"),
        pytest.param(
            {"OS": "linux", "Architecture": "arm", "VARIANT": "v6"},
            {"architecture": "arm", "os": "linux", "variant": "v6"},
            id="keys-in-capitals",
        ),
        pytest.param(
            {
                "variant": "v8",
                "os.features": ["win32k", 1],
                "os.version": "10.0",
                "os": "windows",
                "architecture": "arm64",
            },
            {
                "architecture": "arm64",
                "os": "windows",
                "os.version": "10.0",
                "os.features": ["win32k"],
                "variant": "v8",
            },
            id="all-fields-in-order",
        ),
        pytest.param({"os": "linux"}, {}, id="no-architecture"),
        pytest.param({"architecture": "amd64", "os": ""}, {}, id="no-system"),
        pytest.param({"architecture": "unknown", "os": "unknown"}, {}, id="unknown"),
        pytest.param({"architecture": "amd 64", "os": "linux"}, {}, id="no-word"),
        pytest.param({"architecture": 64, "os": "linux"}, {}, id="no-string"),
        pytest.param([], {}, id="no-object"),
    ],
)
def test_the_platform_of_a_config(config: object, platform: dict[str, object]) -> None:
    found = platform_of(json.dumps(config).encode())
    assert list(found.items()) == list(platform.items())


@pytest.mark.parametrize(
    ("platform", "name"),
    [
        pytest.param({"os": "linux", "architecture": "arm64"}, "linux/arm64", id="plain"),
        pytest.param({"os": "linux", "architecture": "arm64", "variant": "v8"}, "linux/arm64", id="arm64-v8"),
        pytest.param({"os": "linux", "architecture": "amd64", "variant": "v1"}, "linux/amd64", id="amd64-v1"),
        pytest.param({"os": "linux", "architecture": "amd64", "variant": "v3"}, "linux/amd64/v3", id="amd64-v3"),
        pytest.param({"os": "linux", "architecture": "arm"}, "linux/arm/v7", id="arm"),
        pytest.param({"os": "linux", "architecture": "arm", "variant": "v6"}, "linux/arm/v6", id="arm-v6"),
        pytest.param(
            {"os": "windows", "architecture": "amd64", "os.version": "10.0.1"}, "windows/amd64 10.0.1", id="version"
        ),
        pytest.param({"os": "linux"}, "", id="incomplete"),
        pytest.param(None, "", id="none"),
    ],
)
def test_equal_platforms_have_equal_names(platform: object, name: str) -> None:
    assert name_of(platform) == name


def test_an_index_of_entries() -> None:
    manifest = Manifest.parse(OCI_MANIFEST, b'{"schemaVersion": 2}')
    entry = entry_of(manifest, {"architecture": "amd64", "os": "linux"})
    index = Manifest.of_index([entry])
    assert index.body.decode() == (
        f'{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{{"mediaType":"{OCI_MANIFEST}",'
        f'"digest":"{manifest.digest}","size":20,"platform":{{"architecture":"amd64","os":"linux"}}}}]}}'
    )
    assert index.media_type == OCI_INDEX
    assert [(written, parsed.digest) for written, parsed in entries_of(index)] == [(entry, manifest.digest)]


@pytest.mark.parametrize(
    ("body", "digests"),
    [
        pytest.param(b"[]", [], id="no-object"),
        pytest.param(b'{"manifests": {}}', [], id="no-list"),
        pytest.param(
            json.dumps({"manifests": [1, {"digest": "x"}, {"digest": DIGEST, "size": 1}]}).encode(),
            [DIGEST],
            id="some-are-not-valid",
        ),
    ],
)
def test_entries_that_are_not_valid_are_left_out(body: bytes, digests: list[str]) -> None:
    assert [parsed.digest for _, parsed in entries_of(Manifest.parse(OCI_INDEX, body))] == digests
