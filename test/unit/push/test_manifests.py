"""Manifests that are put after those that they name, and at the same time as others."""

import json

import pytest
from unit.fakes import Clock, Messages
from unit.http import FakeRegistryServer, meeting
from unit.runs import connected

from pipe.errors import RegistryFailedError
from pipe.oci.manifest import OCI_MANIFEST, Manifest
from pipe.push.manifests import put_manifests


def image(number: int) -> Manifest:
    """Make an image's manifest."""
    return Manifest.parse(OCI_MANIFEST, json.dumps({"schemaVersion": 2, "annotations": {"n": str(number)}}).encode())


def index(*children: Manifest) -> Manifest:
    """Make an index."""
    entries = [{"mediaType": each.media_type, "digest": each.digest, "size": len(each.body)} for each in children]
    return Manifest.of_index(entries)


IMAGES = [image(number) for number in range(3)]
INNER = index(*IMAGES[:2])
OUTER = index(INNER, IMAGES[2])


def put(server: FakeRegistryServer, *manifests: Manifest) -> list[str]:
    """Put manifests, and return the digests in the order of the requests."""
    put_manifests(connected(Clock(), Messages(), server).repository("acme/app"), manifests)
    return [sent.path.rpartition("/")[2] for sent in server.matching("PUT")]


def test_children_precede_their_parents() -> None:
    order = put(FakeRegistryServer(), *IMAGES[:2], INNER, IMAGES[2], OUTER)
    assert sorted(order[:3]) == sorted(each.digest for each in IMAGES)
    assert order[3:] == [INNER.digest, OUTER.digest]


def test_siblings_are_put_at_the_same_time() -> None:
    server, together = FakeRegistryServer(), meeting(len(IMAGES))
    for each in IMAGES:
        server.on("PUT", f"*/{each.digest}", together)
    put(server, *IMAGES[:2], INNER, IMAGES[2])
    assert set(server.manifests) == {each.digest for each in (*IMAGES, INNER)}


def test_siblings_that_a_busy_registry_rejects_are_put_again() -> None:
    server = FakeRegistryServer()
    server.on("PUT", "*", 429, times=2)
    put(server, *IMAGES)
    assert set(server.manifests) == {each.digest for each in IMAGES}


def test_a_manifest_that_is_listed_twice_is_put_once() -> None:
    assert put(FakeRegistryServer(), IMAGES[0], IMAGES[0]) == [IMAGES[0].digest]


def test_no_parent_is_put_if_a_child_fails() -> None:
    server = FakeRegistryServer()
    server.on("PUT", f"*/{IMAGES[1].digest}", 503)
    with pytest.raises(RegistryFailedError):
        put(server, *IMAGES[:2], INNER)
    assert INNER.digest not in server.manifests


def test_nothing_takes_no_request() -> None:
    assert put(FakeRegistryServer()) == []
