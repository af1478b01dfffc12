"""SPLIT_LAYERS, from real Engines and from files, to the local registry with its limits."""

import hashlib
import io
import json
import random
import secrets
import tarfile
from pathlib import Path
from typing import Any

import docker
import pytest
from integration.images import MB, Images, archive_of
from integration.registries import BY_ENGINE, REPOSITORY, StartRegistry
from integration.running import Finished, Run
from integration.second_engine import RunSecond, Second
from integration.transfers import config_of, diff_ids, manifest_of, stored, unpacked
from registry.client import LocalRegistry

PUSH = "✔ Pushed latest"
PARTS = 4


def layer_of(count: int, size: int, *, ratio: float = 1.0) -> bytes:
    """Make a layer of files, of which so much cannot be compressed."""
    seed = secrets.randbits(48)
    print(f"layer of {count} files of {size} bytes from seed {seed}")
    source = random.Random(seed)
    fresh = int(size * ratio)
    return archive_of({f"srv/{number:03d}": source.randbytes(fresh) + bytes(size - fresh) for number in range(count)})


def split_of(finished: Finished) -> tuple[object, object]:
    """Return the layer and the number of parts in a result."""
    content: Any = finished.result["split"]
    return content["layer"], content["parts"]


def files_in(layers: list[bytes]) -> dict[str, bytes]:
    """Return the files of layers, each once."""
    found: dict[str, bytes] = {}
    for layer in layers:
        with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
            for entry in archive:
                file = archive.extractfile(entry)
                if file:
                    assert entry.name not in found, f"{entry.name} is in two parts"
                    found[entry.name] = hashlib.sha256(file.read()).digest()
    return found


def test_an_engines_layer_arrives_in_parts_and_is_found_again(
    registry: LocalRegistry, images: Images, engine: docker.DockerClient, run: Run
) -> None:
    small, large = layer_of(1, 1000), layer_of(40, MB // 2)
    image = images.load(small, large)
    finished = run(registry, IMAGE_NAME=image.name, SPLIT_LAYERS="6MB")
    finished.expect(0, "Split layer 2 (COPY 1 /) into 4 parts of at most 6.0 MB.", PUSH)
    new = config_of(registry, "latest")
    finished.expect(0, f"The image ID changes: {image.id} → {new}")
    assert registry.requests(user_agent=BY_ENGINE) == []
    assert split_of(finished) == (2, PARTS)
    assert finished.result["image_id"] == new
    assert finished.result["split"]["original_image_id"] == image.id  # type: ignore[index]
    assert unpacked(registry, "latest") == diff_ids(registry, "latest")
    manifest: Any = manifest_of(registry, "latest")
    assert max(each["size"] for each in manifest["layers"]) <= 6 * MB
    images.remove()
    auth = {"username": "reader", "password": "reader-token"}
    pulled = engine.images.pull(f"{registry.host}/{REPOSITORY}", tag="latest", auth_config=auth)
    assert pulled.id == new
    container = engine.containers.create(pulled.id, command="none")
    content: Any = container.export()
    exported = io.BytesIO(b"".join(content))
    container.remove()
    engine.images.remove(pulled.id, force=True)
    with tarfile.open(fileobj=exported) as archive:
        there = {each.name for each in archive if each.isfile() and each.name.startswith("srv/")}
    assert there == {f"srv/{number:03d}" for number in range(40)}
    registry.clear()
    again = images.load(small, large)
    # Its config differs only by a label, so all layers are found by their diffIDs.
    second = run(registry, IMAGE_NAME=again.name, SPLIT_LAYERS="6MB")
    second.expect(0, "Sent no layers: the registry had all of them")
    third = run(registry, IMAGE_NAME=again.name, SPLIT_LAYERS="6MB", IF_TAG_EXISTS="fail")
    third.expect(0, "Up to date: latest")


def test_each_kind_of_engine(second: Second, run_second: RunSecond) -> None:
    """A graphdriver exports plain layers, the containerd store what it has."""
    large = layer_of(40, MB // 2)
    image = second.images.load(large)
    finished = run_second(second, IMAGE_NAME=image.name, SPLIT_LAYERS="6MB")
    finished.expect(0, "into 4 parts", PUSH)
    assert split_of(finished) == (1, PARTS)
    manifest: Any = manifest_of(second.registry, "latest")
    assert [each["size"] <= 6 * MB for each in manifest["layers"]] == [True] * PARTS
    assert unpacked(second.registry, "latest") == diff_ids(second.registry, "latest")


def test_a_file(registry: LocalRegistry, images: Images, engine: docker.DockerClient, run: Run, tmp_path: Path) -> None:
    large = layer_of(40, MB // 2)
    image = images.load(large)
    path = tmp_path / "image.tar"
    with path.open("wb") as file:
        file.writelines(engine.api.get_image(image.id))
    nowhere = {"DOCKER_HOST": "tcp://127.0.0.1:9"}
    finished = run(registry, IMAGE_NAME=image.name, IMAGE_ARCHIVE=str(path), SPLIT_LAYERS="6MB", **nowhere)
    finished.expect(0, "into 4 parts", PUSH)
    assert split_of(finished) == (1, PARTS)
    layers = [stored(registry, each["digest"]) or b"" for each in manifest_of(registry, "latest")["layers"]]  # type: ignore[attr-defined]
    with tarfile.open(fileobj=io.BytesIO(large)) as archive:
        assert len(files_in(layers)) == len(archive.getnames()) == 40


@pytest.mark.parametrize("uploader", ["auto", "pipe"])
def test_a_layer_that_the_registry_would_time_out(
    start_registry: StartRegistry, images: Images, run: Run, uploader: str
) -> None:
    """A connection carries 2 MB a second: the layer of 24 MB would need 12 seconds."""
    registry = start_registry(upload_timeout="8s")
    registry.fault(method="P[AU]T*", path="*/blobs/uploads/*", bytes_per_second=2 * MB)
    image = images.load(layer_of(240, MB // 10))
    settings = {"IMAGE_NAME": image.name, "UPLOAD_TIMEOUT": "8s", "UPLOADER": uploader, "MAX_ATTEMPTS": "1"}
    whole = run(registry, **settings)
    whole.expect(5, "exceeds the registry's time limit: layer 1", "SPLIT_LAYERS: auto")
    finished = run(registry, **settings, SPLIT_LAYERS="auto")
    finished.expect(0, "exceeds the registry's time limit: layer 1", "Split layer 1", PUSH)
    assert finished.log.count("Split layer 1") == 1
    assert unpacked(registry, "latest") == diff_ids(registry, "latest")


def test_a_layer_that_the_registry_rejects(start_registry: StartRegistry, images: Images, run: Run) -> None:
    registry = start_registry(max_layer="12MB")
    image = images.load(layer_of(40, MB // 2))
    whole = run(registry, IMAGE_NAME=image.name, UPLOADER="pipe")
    whole.expect(5, "A layer is too large for the registry", "SPLIT_LAYERS")
    finished = run(registry, IMAGE_NAME=image.name, UPLOADER="pipe", SPLIT_LAYERS="auto")
    finished.expect(0, "A layer is too large for the registry", "Split layer 1", PUSH)


def test_a_full_disk(registry: LocalRegistry, images: Images, run: Run, tmp_path: Path) -> None:
    image = images.load(layer_of(40, MB // 2))
    script = f'mount -t tmpfs -o size=4m tmp {tmp_path} && exec "$@"'
    small = ("unshare", "--mount", "sh", "-c", script, "sh")
    finished = run(
        registry, *small, IMAGE_NAME=image.name, SPLIT_LAYERS="6MB", TMPDIR=str(tmp_path), RESULT_FILE="/dev/null"
    )
    finished.expect(3, "Not enough disk space to split a layer", "20.0 MB", f"in {tmp_path}, which has", "TMPDIR")
    assert registry.requests(method="PATCH") == []


def test_what_cannot_be_split(registry: LocalRegistry, images: Images, run: Run) -> None:
    image = images.load(layer_of(3, 4 * MB))
    finished = run(registry, IMAGE_NAME=image.name, SPLIT_LAYERS="3MB")
    finished.expect(5, "The layer cannot be split", "srv/00", "4.0 MB")
    assert registry.requests(method="PATCH") == []
    assert json.dumps(finished.result["split"]) == "null"
