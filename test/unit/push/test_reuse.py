"""Layers that the registry stores: found in its manifests, as far as they fit together, with few requests."""

import gzip
import json
import struct
import zlib
from collections.abc import Sequence

import pytest
from unit.fakes import Clock, Messages
from unit.http import FakeRegistryServer, Reply, cut
from unit.runs import connected

from pipe.oci.descriptor import Descriptor
from pipe.oci.image import Image
from pipe.oci.manifest import DOCKER_LAYER, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, OCI_ZSTD_LAYER, Manifest
from pipe.oci.reference import Reference
from pipe.push.reuse import (
    MANIFESTS,
    ORIGINS,
    Candidate,
    Candidates,
    Place,
    Stored,
    Wanted,
    known_layers,
    origins,
    pairs,
    reusable,
)
from pipe.source.blob import SourceBlob, in_memory
from pipe.source.trailer import is_made_from, may_be

REPOSITORY = "acme/app"


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
WANTED = Wanted(frozenset(DIFF_IDS))


def config(diff_ids: object = DIFF_IDS) -> bytes:
    """Make an image's config."""
    return json.dumps({"rootfs": {"diff_ids": diff_ids}}).encode()


def image(server: FakeRegistryServer, content: bytes, layers: object = LAYERS, note: str = "") -> Manifest:
    """Make the manifest of a config that the registry has."""
    named = {"digest": server.keep(content), "size": len(content)}
    body = json.dumps({"config": named, "layers": layers, "note": note}).encode()
    return Manifest.parse(OCI_MANIFEST, body)


def index(*images: Manifest, note: str = "") -> Manifest:
    """Make an index."""
    named = [{"digest": each.digest, "size": len(each.body)} for each in images]
    return Manifest.parse(OCI_INDEX, json.dumps({"manifests": named, "note": note}).encode())


class Searched:
    """A registry in which layers are looked for."""

    def __init__(self) -> None:
        self.server, self.told = FakeRegistryServer(), Messages()
        self.client = connected(Clock(), self.told, self.server)

    def keep(self, manifest: Manifest, tag: str = "") -> None:
        """Store a manifest."""
        self.server.keep_manifest(manifest.body, manifest.media_type, tag)

    def known(self, *tags: str, read: Sequence[str] = ()) -> dict[str, Descriptor]:
        """Look for the layers; `read` tags were read already and do not exist."""
        repository = self.client.repository(REPOSITORY)
        places = [Place(repository, tag) for tag in tags]
        already = {Place(repository, tag): None for tag in read}
        found = known_layers(places, WANTED, already, self.told.debug)
        assert {stored.repository for stored in found.values()} <= {REPOSITORY}
        return {diff_id: stored.descriptor for diff_id, stored in found.items()}

    @property
    def read(self) -> list[str]:
        """The manifests that were requested."""
        return sorted(sent.path.rpartition("/")[2] for sent in self.server.matching("GET", "*/manifests/*"))


@pytest.mark.parametrize(
    ("layers", "content", "found"),
    [
        pytest.param(LAYERS, config(), FOUND, id="in-order"),
        pytest.param(LAYERS, config([digest(1)]), {}, id="more-layers-than-diff-ids"),
        pytest.param(LAYERS, config([*DIFF_IDS, digest(3)]), {}, id="more-diff-ids-than-layers"),
        pytest.param(LAYERS, b"{", {}, id="no-json"),
        pytest.param(LAYERS, b"[" * 100_000, {}, id="brackets"),
        pytest.param(LAYERS, b"[]", {}, id="another-kind"),
        pytest.param(LAYERS, b'{"rootfs":null}', {}, id="no-rootfs"),
        pytest.param(LAYERS, config("12"), {}, id="diff-ids-of-another-kind"),
        pytest.param(LAYERS, config([1, "sha256:x"]), {}, id="no-digests"),
        pytest.param(
            [LAYERS[0] | {"mediaType": f"{OCI_LAYER[:-4]}zstd"}, LAYERS[1]],
            config(),
            {digest(2): FOUND[digest(2)]},
            id="docker-has-no-zstd",
        ),
        pytest.param(
            [LAYERS[0] | {"urls": ["https://example.com"]}, LAYERS[1]],
            config(),
            {digest(2): FOUND[digest(2)]},
            id="a-layer-elsewhere",
        ),
    ],
)
def test_pairs(layers: object, content: bytes, found: dict[str, Descriptor]) -> None:
    assert dict(pairs(image(FakeRegistryServer(), content, layers), content)) == found


@pytest.mark.parametrize(
    ("compression", "found"),
    [
        pytest.param("auto", DIFF_IDS[1:], id="a-docker-manifest-cannot-name-it"),
        pytest.param("zstd", DIFF_IDS, id="an-oci-manifest-can"),
    ],
)
def test_zstd_layers_are_reused_if_the_manifest_can_name_them(compression: str, found: list[str]) -> None:
    layers = [LAYERS[0] | {"mediaType": OCI_ZSTD_LAYER}, LAYERS[1]]
    known = dict(pairs(image(FakeRegistryServer(), config(), layers), config(), reusable(compression)))
    assert list(known) == found
    assert {each.media_type for each in known.values()} <= {OCI_ZSTD_LAYER, DOCKER_LAYER}


def test_the_end_of_a_zstd_layer_is_not_compared() -> None:
    server = FakeRegistryServer()
    named = Descriptor(OCI_ZSTD_LAYER, server.keep(PLAIN), len(PLAIN))
    repository = connected(Clock(), Messages(), server).repository(REPOSITORY)
    found = Candidates(repository, {digest(1): Stored(named, REPOSITORY)}).find(digest(1))
    assert found == Candidate(named, None)
    assert not server.matching("GET", "*/blobs/*")


def test_the_layers_of_a_tag_are_found() -> None:
    searched = Searched()
    searched.keep(image(searched.server, config()), "1")
    assert searched.known("1") == FOUND


def test_nothing_more_is_read_once_all_are_found() -> None:
    searched = Searched()
    for number in range(MANIFESTS + 5):
        searched.keep(image(searched.server, config(), note=str(number)), str(number))
    assert searched.known(*map(str, range(MANIFESTS + 5))) == FOUND
    assert len(searched.read) == MANIFESTS, "one batch, all at the same time"


def test_ten_new_tags_do_not_hide_latest() -> None:
    searched = Searched()
    searched.keep(image(searched.server, config()), "latest")
    new = [str(number) for number in range(12)]
    assert searched.known(*new, "latest", read=new) == FOUND
    assert searched.known(*new, "latest") == FOUND


def test_the_images_of_an_index_are_read() -> None:
    searched = Searched()
    other, right = image(searched.server, config([digest(7), digest(8)])), image(searched.server, config())
    for manifest in (other, right):
        searched.keep(manifest)
    searched.keep(index(other, right), "1")
    assert searched.known("1") == FOUND


def test_an_index_that_names_itself_ends() -> None:
    searched = Searched()
    child = image(searched.server, config())
    inner = index(child)
    searched.keep(inner, "1")
    searched.server.manifests[child.digest] = searched.server.manifests[inner.digest]
    assert searched.known("1") == {}
    assert searched.read == sorted(["1", child.digest])


def test_at_most_ten_manifests_are_read() -> None:
    searched = Searched()
    for number in range(30):
        searched.keep(image(searched.server, b"{}", note=str(number)), str(number))
    assert searched.known(*map(str, range(30))) == {}
    assert len(searched.read) == MANIFESTS == 10


@pytest.mark.parametrize("times", [1, 1000], ids=["different", "equal"])
def test_an_index_of_many_images_that_are_gone_takes_few_requests(times: int) -> None:
    searched = Searched()
    gone = [image(searched.server, b"{}", note=str(number)) for number in range(1000 // times)] * times
    searched.keep(index(*gone), "1")
    searched.keep(image(searched.server, config()), "2")
    assert searched.known("1", "2") == FOUND
    assert len(searched.read) <= 2 + MANIFESTS


def test_what_cannot_be_read_is_logged_and_left_out() -> None:
    searched = Searched()
    searched.keep(image(searched.server, config()), "2")
    searched.server.on("GET", "*/manifests/1", 403)
    assert searched.known("1", "2") == FOUND
    assert any(line.startswith("No layers to reuse from acme/app:1. ") for line in searched.told.of("DEBUG"))


def test_other_images_are_of_no_use() -> None:
    searched = Searched()
    searched.keep(image(searched.server, config([digest(7), digest(8)])), "1")
    assert searched.known("1") == {}


PLAIN = b"the bytes of a layer" * 50
GZIPPED = gzip.compress(PLAIN)
MEMBERS = gzip.compress(PLAIN[:300]) + gzip.compress(PLAIN[300:])
EMPTY_END = GZIPPED + gzip.compress(b"")


def layer(content: bytes = PLAIN) -> SourceBlob:
    """Make a layer of a source."""
    return in_memory("layer.tar", "", content)._replace(descriptor=None, diff_id=digest(1))


def candidates(
    server: FakeRegistryServer, blob: bytes, size: int | None = None, repository: str = REPOSITORY
) -> Candidates:
    """Pair a layer with a blob."""
    named = Descriptor(DOCKER_LAYER, FakeRegistryServer().keep(blob), len(blob) if size is None else size)
    own = connected(Clock(), Messages(), server).repository(REPOSITORY)
    return Candidates(own, {digest(1): Stored(named, repository)})


@pytest.mark.parametrize(
    ("blob", "content", "expected"),
    [
        pytest.param(GZIPPED, PLAIN, True, id="one-member"),
        pytest.param(MEMBERS, PLAIN, True, id="several-members"),
        pytest.param(EMPTY_END, PLAIN, True, id="an-empty-last-member"),
        pytest.param(GZIPPED, PLAIN + b"!", False, id="a-longer-layer"),
        pytest.param(GZIPPED, PLAIN[1:], False, id="a-shorter-layer"),
        pytest.param(GZIPPED, PLAIN[::-1], False, id="other-bytes"),
        pytest.param(MEMBERS, PLAIN[:-1] + b"!", False, id="other-bytes-in-the-last-member"),
    ],
)
def test_the_end_of_a_gzip_file_fits_a_layer(blob: bytes, content: bytes, expected: bool) -> None:
    checks: list[None] = []
    candidate = layer(content)
    fits = may_be(candidate, blob[-8:]) and is_made_from(candidate, blob[-8:], lambda: checks.append(None))
    assert fits is expected
    assert checks or not may_be(candidate, blob[-8:]), "reading can be ended"


def test_lengths_are_stored_modulo_four_gigabytes() -> None:
    """Source: RFC 1952, ISIZE is the length modulo 2^32."""
    end = struct.pack("<II", zlib.crc32(PLAIN), len(PLAIN))
    assert is_made_from(layer()._replace(size=2**32 + len(PLAIN)), end, lambda: None)


@pytest.mark.parametrize(
    ("answer", "size", "found"),
    [
        pytest.param(None, None, True, id="there"),
        pytest.param(Reply(200, headers={}), None, True, id="its-size-is-unknown"),
        pytest.param(404, None, False, id="absent"),
        pytest.param(None, len(GZIPPED) + 1, False, id="another-size-than-named"),
        pytest.param(None, 7, False, id="smaller-than-the-end-of-a-gzip-file"),
    ],
)
def test_a_candidate_counts_only_if_the_registry_has_it(
    answer: Reply | int | None, size: int | None, found: bool
) -> None:
    server = FakeRegistryServer()
    server.keep(GZIPPED)
    if answer is not None:
        server.on("HEAD", "*", answer)
    candidate = candidates(server, GZIPPED, size).find(digest(1))
    assert (candidate is not None) is found
    assert candidate is None or candidate.trailer == GZIPPED[-8:]


def test_a_registry_that_returns_no_part_of_a_blob() -> None:
    server = FakeRegistryServer()
    server.keep(GZIPPED)
    server.on("GET", "*/blobs/*", 200)
    candidate = candidates(server, GZIPPED).find(digest(1))
    assert candidate is not None
    assert candidate.trailer is None


def test_a_blob_of_another_repository_is_mounted() -> None:
    server = FakeRegistryServer()
    named = FakeRegistryServer().keep(GZIPPED)
    server.mountable["acme/base", named] = GZIPPED
    candidate = candidates(server, GZIPPED, repository="acme/base").find(digest(1))
    assert candidate == Candidate(Descriptor(DOCKER_LAYER, named, len(GZIPPED)), GZIPPED[-8:], mounted=True)


REALM = "https://crg.apkg.io/token"
NO_MOUNT: dict[str, Reply | Exception] = {
    "202": Reply(202, headers={"Location": "/v2/acme/app/blobs/uploads/9"}),
    "201-with-another-digest": Reply(201, headers={"Docker-Content-Digest": digest(99)}),
    "401": Reply(401),
    "403": Reply(403),
    "404": Reply(404),
    "405": Reply(405),
    "500": Reply(500),
    "no-answer": cut(),
}


@pytest.mark.parametrize("answer", NO_MOUNT.values(), ids=NO_MOUNT.keys())
def test_a_mount_that_is_rejected_is_no_failure(answer: Reply | Exception) -> None:
    server = FakeRegistryServer()
    server.on("POST", "*", answer)
    found = candidates(server, GZIPPED, repository="acme/base")
    assert found.find(digest(1)) is None
    assert not found.mounted(FakeRegistryServer().keep(GZIPPED))


@pytest.mark.parametrize("status", [400, 401, 403, 500], ids=str)
def test_a_scope_that_is_rejected_is_no_failure(status: int) -> None:
    server = FakeRegistryServer()
    server.realm = REALM
    server.on("GET", "*/token", lambda sent: status if "acme/base" in sent.url.replace("%2F", "/") else None)
    found = candidates(server, GZIPPED, repository="acme/base")
    assert found.find(digest(1)) is None
    assert server.matching("POST") == [], "the mount needs a token for both repositories"


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        pytest.param("acme/base", True, id="of-another-repository"),
        pytest.param("acme/gone", False, id="that-it-no-longer-has"),
        pytest.param(REPOSITORY, False, id="of-the-repository-itself"),
    ],
)
def test_a_stored_layer_is_mounted(repository: str, expected: bool) -> None:
    server = FakeRegistryServer()
    named = FakeRegistryServer().keep(GZIPPED)
    server.mountable["acme/base", named] = GZIPPED
    found = candidates(server, GZIPPED, repository=repository)
    assert found.mounted(named) is expected
    assert not found.mounted(digest(99)), "nothing is known of this one"


@pytest.mark.parametrize(
    ("names", "places"),
    [
        pytest.param([], [], id="no-names"),
        pytest.param(["crg.apkg.io/acme/base:1"], [("acme/base", "1")], id="another-package"),
        pytest.param(["crg.apkg.io/acme/base"], [("acme/base", "latest")], id="without-a-tag"),
        pytest.param([f"crg.apkg.io/acme/base:1@{digest(1)}"], [("acme/base", digest(1))], id="a-digest"),
        pytest.param([f"crg.apkg.io/acme/app@{digest(1)}"], [("acme/app", digest(1))], id="pushed-before"),
        pytest.param(["crg.apkg.io/acme/app:old"], [], id="a-local-tag-of-the-target"),
        pytest.param(["crg.apkg.io/other/base:1"], [], id="another-workspace"),
        pytest.param(["crg.apkg.io/acme-2/base:1"], [], id="a-workspace-with-the-same-beginning"),
        pytest.param(["docker.io/library/debian:12", "debian:12", "<none>:<none>"], [], id="other-registries"),
        pytest.param(["crg.apkg.io/acme/a:1"] * 3, [("acme/a", "1")], id="each-once"),
        pytest.param(
            [f"crg.apkg.io/acme/a:{n}" for n in range(9)], [("acme/a", str(n)) for n in range(ORIGINS)], id="a-few"
        ),
    ],
)
def test_the_places_that_an_image_leads_to(names: list[str], places: list[tuple[str, str]]) -> None:
    client = connected(Clock(), Messages(), FakeRegistryServer())
    target = Reference("crg.apkg.io", "acme/app", "1.0")
    found = origins(Image("", 0, (), origins=tuple(names)), target, client.repository)
    assert [(place.repository.path, place.tag) for place in found] == places


@pytest.mark.parametrize(
    ("wanted", "blobs", "found"),
    [
        pytest.param((), (11, 12), {digest(11), digest(12)}, id="stored"),
        pytest.param((), (12, 13), {digest(12)}, id="some-stored"),
        pytest.param((1, 2), (11,), {digest(1), digest(2), digest(11)}, id="both"),
        pytest.param((), (), set(), id="none"),
    ],
)
def test_stored_layers_are_found_by_digest(wanted: tuple[int, ...], blobs: tuple[int, ...], found: set[str]) -> None:
    searched = Searched()
    searched.keep(image(searched.server, config()), "1")
    places = [Place(searched.client.repository(REPOSITORY), "1")]
    layers, stored = (frozenset(map(digest, each)) for each in (wanted, blobs))
    assert known_layers(places, Wanted(layers, stored), {}, searched.told.debug).keys() == found
    configs = searched.server.matching("GET", "*/blobs/*")
    assert len(configs) == bool(wanted), "the config says nothing about stored layers"


def test_each_candidate_is_asked_for_once() -> None:
    server = FakeRegistryServer()
    server.keep(GZIPPED)
    found = candidates(server, GZIPPED)
    found.ask_all()
    asked = len(server.sent)
    assert asked
    assert found.find(digest(1)) is not None
    assert (found.find(digest(2)), len(server.sent)) == (None, asked)
    found.clear()
    assert found.find(digest(1)) is None
