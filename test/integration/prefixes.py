"""Reads images as the pipe does: the streams of the first layers, then that of all of it."""

import contextlib
import hashlib
from dataclasses import dataclass

import docker

from pipe.engine.client import Engine
from pipe.engine.prefixes import LABEL
from pipe.oci.image import Image
from pipe.source.daemon import DaemonStream
from pipe.source.image_source import BlobStream
from pipe.source.prefixed import PrefixedStream


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of an image.

    Attributes:
        image: The image.
        prefixes: The number of layers of each prefix.
        layers: The diffID of each layer as its bytes hash, in the order in which they came.
        config: The configuration.
    """

    image: Image
    prefixes: list[int]
    layers: list[str]
    config: bytes


def _stream(engine: Engine, image: Image, stack: contextlib.ExitStack) -> DaemonStream:
    """Let the Engine stage an image from now on."""
    saved = stack.enter_context(contextlib.closing(engine.saved(image)))
    saved.begin()
    return DaemonStream(saved, image.id, [layer.diff_id for layer in image.layers])


def layers_in(stream: BlobStream) -> list[str]:
    """Read the layers, and return the diffID of each as its bytes hash."""
    buffer, layers = memoryview(bytearray(1024 * 1024)), []
    for blob in stream:
        reader, found = blob.open(), hashlib.sha256()
        while length := reader.readinto(buffer):
            found.update(buffer[:length])
        if not blob.is_config:
            layers.append(f"sha256:{found.hexdigest()}")
    return layers


def read_with_prefixes(host: str, name: str) -> Read:
    """Read an image of an Engine."""
    engine = Engine({"DOCKER_HOST": host})
    image = engine.image(name)
    warnings: list[str] = []
    with contextlib.ExitStack() as stack:
        # The whole image takes longest, so the Engine begins with it.
        whole = _stream(engine, image, stack)
        prefixes = stack.enter_context(engine.prefixes(image, warnings.append))
        stream = PrefixedStream(
            [_stream(engine, each, stack) for each in prefixes], whole, lambda: _stream(engine, image, stack)
        )
        layers = layers_in(stream)
    assert warnings == []
    return Read(image, [len(each.layers) for each in prefixes], layers, stream.config)


def temporary(client: docker.DockerClient, diff_id: str) -> list[str]:
    """Return the temporary images that begin with a layer; other tests may have some of their own."""
    labelled = client.api.images(all=True, filters={"label": LABEL})
    return [
        each["Id"] for each in labelled if diff_id in client.api.inspect_image(each["Id"])["RootFS"].get("Layers", [])
    ]
