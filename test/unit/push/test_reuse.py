"""What the registry says of its own images is believed as far as it fits together, and asked for within bounds."""

import json
from dataclasses import dataclass, field

import pytest

from pipe.errors import PipeError, RegistryFailedError
from pipe.oci.descriptor import Descriptor
from pipe.oci.manifest import DOCKER_LAYER, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, Manifest
from pipe.push.reuse import CONFIG_SIZE, MANIFESTS, known_layers, pairs


def digest(number: int) -> str:
    """Make a digest."""
    return f"sha256:{number:064x}"


DIFF_IDS = [digest(1), digest(2)]
LAYERS = [
    {"mediaType": OCI_LAYER, "digest": digest(11), "size": 5},
    {"mediaType": DOCKER_LAYER, "digest": digest(12), "size": 6},
]
FOUND = {
    digest(1): Descriptor(DOCKER_LAYER, digest(11), 5),
    digest(2): Descriptor(DOCKER_LAYER, digest(12), 6),
}
WANTED = frozenset(DIFF_IDS)


def image(config: int = 99, layers: object = LAYERS, note: str = "") -> Manifest:
    """Make a manifest."""
    content = {"config": {"digest": digest(config), "size": 1}, "layers": layers, "note": note}
    return Manifest.parse(OCI_MANIFEST, json.dumps(content).encode())


def index(*images: Manifest, note: str = "") -> Manifest:
    """Make an index."""
    named = [{"digest": each.digest, "size": len(each.body)} for each in images]
    return Manifest.parse(OCI_INDEX, json.dumps({"manifests": named, "note": note}).encode())


def config(diff_ids: object = DIFF_IDS) -> bytes:
    """Make an image's configuration."""
    return json.dumps({"rootfs": {"diff_ids": diff_ids}}).encode()


@dataclass
class FakeRegistry:
    """Has manifests by tag or digest, and blobs; keeps what it was asked."""

    manifests: dict[str, Manifest | PipeError] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def manifest(self, reference: str) -> Manifest | None:
        """Read a manifest."""
        self.asked.append(reference)
        found = self.manifests.get(reference)
        if isinstance(found, PipeError):
            raise found
        return found

    def read_blob(self, digest: str, maximum: int) -> bytes | None:
        """Read a blob."""
        assert maximum == CONFIG_SIZE
        return self.blobs.get(digest)


@pytest.mark.parametrize(
    ("manifest", "content", "found"),
    [
        pytest.param(image(), config(), FOUND, id="in-order"),
        pytest.param(image(), config([digest(1)]), {}, id="more-layers-than-diff-ids"),
        pytest.param(image(), config([*DIFF_IDS, digest(3)]), {}, id="more-diff-ids-than-layers"),
        pytest.param(image(), b"{", {}, id="no-json"),
        pytest.param(image(), b"[" * 100_000, {}, id="brackets"),
        pytest.param(image(), b"[]", {}, id="another-kind"),
        pytest.param(image(), b'{"rootfs":null}', {}, id="no-rootfs"),
        pytest.param(image(), config("12"), {}, id="diff-ids-of-another-kind"),
        pytest.param(image(), config([1, "sha256:x"]), {}, id="no-digests"),
        pytest.param(
            image(layers=[LAYERS[0] | {"mediaType": f"{OCI_LAYER[:-4]}zstd"}, LAYERS[1]]),
            config(),
            {digest(2): FOUND[digest(2)]},
            id="zstd-is-none-of-docker's",
        ),
        pytest.param(
            image(layers=[LAYERS[0] | {"urls": ["https://example.com"]}, LAYERS[1]]),
            config(),
            {digest(2): FOUND[digest(2)]},
            id="a-layer-elsewhere",
        ),
    ],
)
def test_pairs(manifest: Manifest, content: bytes, found: dict[str, Descriptor]) -> None:
    assert dict(pairs(manifest, content)) == found


def known(registry: FakeRegistry, *tags: str) -> dict[str, Descriptor]:
    """Look for the layers."""
    return known_layers(registry, tags, WANTED, lambda _: None)


def test_the_layers_of_a_tag_are_found() -> None:
    assert known(FakeRegistry({"1": image()}, {digest(99): config()}), "1") == FOUND


def test_nothing_is_asked_once_all_are_found() -> None:
    registry = FakeRegistry({"1": image(), "2": image()}, {digest(99): config()})
    known(registry, "1", "2")
    assert registry.asked == ["1"]


def test_the_images_of_an_index_are_looked_into() -> None:
    other, right = image(98), image(99)
    registry = FakeRegistry(
        {"1": index(other, right), other.digest: other, right.digest: right},
        {digest(98): config([digest(7), digest(8)]), digest(99): config()},
    )
    assert known(registry, "1") == FOUND


def test_an_index_that_names_itself_ends() -> None:
    inner = index(image())
    registry = FakeRegistry({"1": inner, image().digest: inner})
    assert known(registry, "1") == {}
    assert registry.asked == ["1", image().digest]


def test_at_most_ten_manifests_are_read() -> None:
    registry = FakeRegistry({str(n): image(note=str(n)) for n in range(30)})
    known(registry, *map(str, range(30)))
    assert len(registry.asked) == MANIFESTS == 10


def test_what_cannot_be_read_is_told_and_passed_over() -> None:
    told: list[str] = []
    registry = FakeRegistry({"1": RegistryFailedError("HTTP 500"), "2": image()}, {digest(99): config()})
    assert known_layers(registry, ("1", "2"), WANTED, told.append) == FOUND
    assert told == ["No layers to reuse from 1. The registry failed: HTTP 500"]


def test_other_images_are_of_no_use() -> None:
    assert known(FakeRegistry({"1": image()}, {digest(99): config([digest(7), digest(8)])}), "1") == {}
