"""What the registry says of its own images is believed as far as it fits together, and asked for within bounds."""

import gzip
import json
from dataclasses import dataclass, field, replace

import pytest

from pipe.errors import PipeError, RegistryFailedError, UploadForgottenError
from pipe.oci.descriptor import Descriptor
from pipe.oci.manifest import DOCKER_LAYER, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, Manifest
from pipe.push.blob_upload import TransferEndedError
from pipe.push.reuse import CONFIG_SIZE, MANIFESTS, Candidate, Candidates, is_layer, known_layers, pairs
from pipe.source.blob import SourceBlob, in_memory


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


PLAIN = b"the bytes of a layer"
GZIPPED = gzip.compress(PLAIN)
NAMED = Descriptor(DOCKER_LAYER, digest(21), len(GZIPPED))


@dataclass
class Stored:
    """Has one blob, of which it gives the end or not, or no blob."""

    size_told: int | None
    end: bytes | None
    asked: list[str] = field(default_factory=list)

    def size(self, digest: str) -> int | None:
        """Tell its size."""
        self.asked.append(f"HEAD {digest}")
        return self.size_told

    def read_end(self, digest: str, size: int, length: int) -> bytes | None:
        """Give its end."""
        self.asked.append(f"{size - length} to {size} of {digest}")
        return self.end


def layer(content: bytes = PLAIN) -> SourceBlob:
    """Make a layer of a source."""
    return replace(in_memory("layer.tar", "", content), descriptor=None, diff_id=digest(1))


END = GZIPPED[-8:]


def found(stored: Stored, content: SourceBlob, ticks: list[None]) -> bool:
    """Tell whether a registry has a layer."""
    candidate = Candidates(stored, {digest(1): NAMED}).find(digest(1))
    return candidate is not None and is_layer(candidate, content, lambda: ticks.append(None))


@pytest.mark.parametrize(
    ("stored", "content", "expected"),
    [
        pytest.param(Stored(len(GZIPPED), END), PLAIN, True, id="it-is"),
        pytest.param(Stored(0, END), PLAIN, True, id="its-size-is-not-told"),
        pytest.param(Stored(len(GZIPPED), None), PLAIN, True, id="the-registry-gives-no-part-of-a-blob"),
        pytest.param(Stored(None, END), PLAIN, False, id="it-is-not-there"),
        pytest.param(Stored(len(GZIPPED) + 1, END), PLAIN, False, id="it-has-another-size-than-named"),
        pytest.param(Stored(len(GZIPPED), END), PLAIN + b"!", False, id="it-is-of-another-length"),
        pytest.param(Stored(len(GZIPPED), END), PLAIN[::-1], None, id="it-is-of-other-bytes"),
    ],
)
def test_a_blob_is_the_layer_as_far_as_its_end_tells(stored: Stored, content: bytes, expected: bool | None) -> None:
    ticks: list[None] = []
    if expected is None:
        with pytest.raises(UploadForgottenError, match=rf"layer\.tar is the blob {NAMED.digest}, but it is not"):
            found(stored, layer(content), ticks)
        assert ticks, "it can be ended while it reads"
    else:
        assert found(stored, layer(content), ticks) is expected
    assert stored.asked[0] == f"HEAD {NAMED.digest}"
    assert stored.asked[1:] in ([], [f"{len(GZIPPED) - 8} to {len(GZIPPED)} of {NAMED.digest}"])


def test_a_blob_smaller_than_a_gzip_streams_end_is_no_layer() -> None:
    stored = Stored(7, b"")
    assert Candidates(stored, {digest(1): Descriptor(DOCKER_LAYER, digest(21), 7)}).find(digest(1)) is None
    assert stored.asked == []


def test_the_length_counts_up_to_four_gigabytes() -> None:
    """Source: RFC 1952, ISIZE is the length modulo 2^32."""
    assert is_layer(Candidate(NAMED, END), replace(layer(), size=2**32 + len(PLAIN)), lambda: None)


def test_what_was_asked_for_before_its_turn_is_not_asked_for_again() -> None:
    stored = Stored(len(GZIPPED), END)
    candidates = Candidates(stored, {digest(1): NAMED})
    candidates.ask(lambda: None)
    asked = len(stored.asked)
    assert asked
    assert candidates.find(digest(1)) == Candidate(NAMED, END)
    assert (candidates.find(digest(2)), len(stored.asked)) == (None, asked)


def test_what_is_not_believed_any_more_is_not_found_although_it_was_asked_for() -> None:
    candidates = Candidates(Stored(len(GZIPPED), END), {digest(1): NAMED})
    candidates.ask(lambda: None)
    candidates.clear()
    assert candidates.find(digest(1)) is None


def test_asking_ends_where_nobody_wants_the_answers() -> None:
    stored = Stored(len(GZIPPED), END)

    def stop() -> None:
        raise TransferEndedError

    with pytest.raises(TransferEndedError):
        Candidates(stored, {digest(1): NAMED}).ask(stop)
    assert stored.asked == []
