"""How pushes of archives end that are damaged, too large, stopped, or two at once; and what is sent until then."""

import gzip
import json
import secrets
import signal
from pathlib import Path

import pytest
from integration.archives import NOWHERE, digest_of
from integration.images import MB, archive_of
from integration.layouts import Layout
from integration.registries import StartRegistry, asked, digest_in
from integration.running import Finished, Run, Start
from integration.transfers import stored
from registry.client import LocalRegistry

UPLOADS = "*/blobs/uploads/*"
Files = dict[str, bytes]


def docker_archive(*layers: bytes, gzipped: bool = False, **changed: object) -> Files:
    """Make the files of a docker archive of plain layers, tar archives or not."""
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": changed.get("diff_ids", [digest_of(layer) for layer in layers])},
            "history": [{"created_by": f"COPY layer-{number} /"} for number in range(1, len(layers) + 1)],
        }
    ).encode()
    names = [f"{number}.tar" for number in range(1, len(layers) + 1)]
    stored_as = [gzip.compress(layer, 1, mtime=0) if gzipped else layer for layer in layers]
    manifest = json.dumps([{"Config": "config.json", "RepoTags": ["app:1.0"], "Layers": names}]).encode()
    return dict(zip(names, stored_as, strict=True)) | {"config.json": config, "manifest.json": manifest}


def noise(size: int) -> bytes:
    """Make a layer that does not compress."""
    return archive_of({"noise": secrets.token_bytes(size)})


def written(folder: Path, data: bytes | Files) -> Path:
    """Write an archive."""
    path = folder / "image.tar"
    path.write_bytes(data if isinstance(data, bytes) else archive_of(data))
    return path


def pushed(run: Run, registry: LocalRegistry, path: Path, **variables: str) -> Finished:
    """Push an archive, with no Engine to be reached."""
    usual = {"IMAGE_NAME": "app:1.0", "PACKAGE_NAME": "my-container-app", "IMAGE_ARCHIVE": str(path)}
    return run(registry, **(usual | NOWHERE | variables))


LAYER = noise(200_000)
BAD: dict[str, tuple[bytes | Files, str]] = {
    "empty": (b"", "it is empty"),
    "text": (b"#!/bin/sh\n" * 100, "it is not a tar archive"),
    "no-image": ({"readme": b""}, "it has neither index.json nor manifest.json"),
    "cut": (archive_of(docker_archive(LAYER))[:150_000], "it is truncated: it ends in the middle of 1.tar"),
    "zstd": (b"\x28\xb5\x2f\xfd" + LAYER, "Decompress it in the step, before the pipe: zstd -d image.tar"),
    "brackets": (docker_archive(LAYER) | {"manifest.json": b"[" * 100_000}, "manifest.json lists no image"),
    "fewer-diff-ids": (docker_archive(LAYER, LAYER, diff_ids=[digest_of(LAYER)]), "has 1 diffIDs for 2 layers"),
    "another-gzipped-layer": (
        docker_archive(LAYER, gzipped=True, diff_ids=["sha256:" + "0" * 64]),
        "but its image lists sha256:000",
    ),
    "leads-out": (
        docker_archive(LAYER) | {"manifest.json": b'[{"Config": "../x", "Layers": []}]'},
        "the path ../x escapes the archive",
    ),
}


@pytest.mark.parametrize(("data", "words"), BAD.values(), ids=BAD.keys())
def test_of_bad_input_nothing_is_sent(
    registry: LocalRegistry, run: Run, tmp_path: Path, data: bytes | Files, words: str
) -> None:
    path = written(tmp_path, data)
    pushed(run, registry, path).expect(3, "✖ The image archive cannot be used: ", str(path), words)
    assert asked(registry) == []


def test_a_manifest_of_a_hundred_megabytes_is_not_read(registry: LocalRegistry, run: Run, tmp_path: Path) -> None:
    path = written(tmp_path, docker_archive(LAYER) | {"manifest.json": b"[" + b"1," * 50_000_000})
    finished = pushed(run, registry, path)
    finished.expect(3, "manifest.json is too large: it has 100000001 bytes, the limit is 4194304", within=10)
    assert asked(registry) == []


@pytest.mark.parametrize("kind", ["plain-layer", "layout"])
def test_a_flipped_byte_is_found_before_the_manifest_is_put(
    registry: LocalRegistry, run: Run, tmp_path: Path, kind: str
) -> None:
    data = bytearray(
        archive_of(docker_archive(noise(20 * MB))) if kind == "plain-layer" else two_platforms(noise(20 * MB))[1]
    )
    data[len(data) // 2] ^= 1
    path = written(tmp_path, bytes(data))
    finished = pushed(run, registry, path, TAGS=f"flipped-{kind}")
    finished.expect(3, "✖ The image's content does not match its digest: ", str(path))
    assert registry.requests(method="PUT", path="*/manifests/*") == []
    assert digest_in(registry, f"flipped-{kind}") is None


def test_an_archive_is_not_for_the_engine(registry: LocalRegistry, run: Run, tmp_path: Path) -> None:
    path = written(tmp_path, docker_archive(LAYER))
    pushed(run, registry, path, UPLOADER="engine").expect(2, "UPLOADER=engine cannot be combined with IMAGE_ARCHIVE")
    assert asked(registry) == []


def test_a_file_that_is_not_there_is_told_with_the_folder(registry: LocalRegistry, run: Run, tmp_path: Path) -> None:
    finished = pushed(run, registry, Path("image.tar"))
    finished.expect(
        3, f"image.tar: no such file or directory in {tmp_path}.", "list it in that step's artifacts", "1 GB"
    )


def test_a_path_is_relative_to_the_working_directory(registry: LocalRegistry, run: Run, tmp_path: Path) -> None:
    written(tmp_path, docker_archive(noise(1000)))
    pushed(run, registry, Path("image.tar"), TAGS="relative").expect(0, "✔ Pushed")


@pytest.mark.root
def test_a_full_disk_is_told(registry: LocalRegistry, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(gzip.compress(archive_of(docker_archive(noise(3 * MB)))))
    (tmp_path / "aside").mkdir()
    small = f'mount -t tmpfs -o size=1m tmpfs "{tmp_path}/aside" && exec "$@"'
    inside = ("unshare", "--mount", "--", "bash", "-c", small, "bash")
    usual = {"IMAGE_NAME": "app", "IMAGE_ARCHIVE": str(path), "TMPDIR": str(tmp_path / "aside")}
    finished = run(registry, *inside, **(usual | NOWHERE))
    finished.expect(
        3, f"cannot be decompressed to {tmp_path}/aside: No space left on device.", "Set TMPDIR to a directory"
    )
    assert asked(registry) == []


@pytest.mark.parametrize("gzipped", [False, True], ids=["plain", "gzipped"])
def test_what_the_registry_has_is_not_sent(registry: LocalRegistry, run: Run, tmp_path: Path, gzipped: bool) -> None:
    base, first, second = noise(MB), noise(MB), noise(MB)
    tag = f"known-{gzipped}"
    pushed(run, registry, written(tmp_path, docker_archive(base, first, gzipped=gzipped)), TAGS=tag).expect(0)
    registry.clear()
    finished = pushed(run, registry, written(tmp_path, docker_archive(base, second, gzipped=gzipped)), TAGS=tag)
    finished.expect(0, "already there", "uploaded")
    sent = [entry.received for entry in registry.requests(method="P[AU]T*", path=UPLOADS) if entry.received > 100_000]
    assert len(sent) == 1, finished.shown("one layer sent")


def two_platforms(*shared: bytes) -> tuple[Layout, bytes]:
    """Make an index of two platforms that have layers in common, and a layer of its own each."""
    layout = Layout()
    manifests = []
    for architecture in ("amd64", "arm64"):
        layers = [*shared, noise(100_000)]
        config = json.dumps(
            {
                "architecture": architecture,
                "os": "linux",
                "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
                "history": [{"created_by": f"COPY {number} /{architecture}"} for number, _ in enumerate(layers)],
            }
        ).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": layout.add("application/vnd.oci.image.config.v1+json", config),
            "layers": [
                layout.add("application/vnd.oci.image.layer.v1.tar+gzip", gzip.compress(layer, 1, mtime=0))
                for layer in layers
            ],
        }
        platform = {"os": "linux", "architecture": architecture}
        manifests.append(layout.add(str(manifest["mediaType"]), json.dumps(manifest).encode(), platform=platform))
    index = {"schemaVersion": 2, "manifests": manifests}
    top = layout.add("application/vnd.oci.image.index.v1+json", json.dumps(index).encode())
    layout.digest, layout.manifests = str(top["digest"]), [str(each["digest"]) for each in manifests]
    return layout, layout.tar(top)


def test_a_blob_of_several_platforms_is_asked_for_and_sent_once(
    registry: LocalRegistry, run: Run, tmp_path: Path
) -> None:
    layout, data = two_platforms(noise(MB))
    pushed(run, registry, written(tmp_path, data), TAGS="shared").expect(0, "linux/arm64", "COPY 0 /arm64")
    assert digest_in(registry, "shared") == layout.digest
    [shared] = {*layout.layers_of(layout.manifests[0])} & {*layout.layers_of(layout.manifests[1])}
    asked = [entry.status for entry in registry.requests(method="HEAD", path=f"*/blobs/{shared}")]
    assert asked == [404, 200], "once before it is sent, once when the tag is read back"
    assert len([each for each in registry.requests(method="P[AU]T*", path=UPLOADS) if each.received > MB]) == 1
    methods = [entry.method for entry in registry.requests() if shared in entry.path or entry.received > MB]
    assert methods[0] == "HEAD", "asked before anything is sent"


def test_what_is_no_image_is_pushed_as_it_is(registry: LocalRegistry, run: Run, tmp_path: Path) -> None:
    """Layouts hold charts, signatures and models, too: of them there is no platform and no instruction to tell."""
    layout = Layout()
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": layout.add("application/vnd.cncf.helm.config.v1+json", b"{}"),
        "layers": [layout.add("application/vnd.cncf.helm.chart.content.v1.tar+gzip", secrets.token_bytes(1000))],
    }
    top = layout.add(str(manifest["mediaType"]), json.dumps(manifest).encode())
    finished = pushed(run, registry, written(tmp_path, layout.tar(top)), TAGS="chart")
    finished.expect(0, "✔ Pushed")
    assert digest_in(registry, "chart") == top["digest"]


@pytest.mark.parametrize(
    ("method", "size", "count"),
    [pytest.param("PATCH", 9 * MB, 2, id="two-in-chunks"), pytest.param("PUT", 4 * MB, 3, id="three-as-a-whole")],
)
def test_several_blobs_go_up_at_a_time(
    registry: LocalRegistry, start: Start, tmp_path: Path, method: str, size: int, count: int
) -> None:
    registry.fault(method=method, path=UPLOADS, bytes_per_second=size // 2)
    path = written(tmp_path, docker_archive(noise(size), noise(size), noise(size), gzipped=True))
    usual = {"IMAGE_NAME": "app:1.0", "PACKAGE_NAME": "my-container-app", "IMAGE_ARCHIVE": str(path), "TAGS": "two"}
    running = start(registry, **(usual | NOWHERE))
    registry.wait_for(method=method, state="open", count=count, received=MB // 2)
    finished = running.finish()
    finished.expect(0)
    layers = finished.result["layers"]
    assert isinstance(layers, list)
    seconds = [layer["seconds"] for layer in layers]
    assert min(seconds) > 1.5, finished.shown("the time that the link takes")
    # One that waited for its turn would have two seconds more than its requests.
    requests = sum(entry.seconds for entry in registry.requests(path=UPLOADS))
    assert sum(seconds) < requests + 1.5, finished.shown(f"each layer's own clock: {requests:.1f} s in all")


def test_a_layer_above_the_limit_is_refused_before_the_first_byte(
    registry: LocalRegistry, run: Run, tmp_path: Path
) -> None:
    path = written(tmp_path, docker_archive(noise(1000), noise(2 * MB), gzipped=True))
    finished = pushed(run, registry, path, MAX_LAYER_SIZE="1MB", TAGS="limit")
    finished.expect(5, "layer 2 (COPY layer-2 /): 2.0 MB stored", "Nothing was uploaded.")
    assert registry.requests(method="P*") == []


def test_a_dry_run_tells_what_would_be_sent(registry: LocalRegistry, run: Run, tmp_path: Path) -> None:
    layout, data = two_platforms(noise(MB))
    finished = pushed(run, registry, written(tmp_path, data), DRY_RUN="true", TAGS="dry")
    finished.expect(0, "would upload", "linux/arm64", "✔ Dry run: dry would be pushed.")
    assert digest_in(registry, "dry") is None
    assert stored(registry, layout.digest) is None
    platforms = finished.result["platforms"]
    assert isinstance(platforms, list)
    statuses = [[layer["status"] for layer in each["layers"]] for each in platforms]
    assert statuses == [["would upload"] * 2] * 2


@pytest.mark.parametrize("kind", ["plain", "gzipped", "gzipped-as-a-whole"])
def test_a_signal_ends_it_at_once(start_registry: StartRegistry, start: Start, tmp_path: Path, kind: str) -> None:
    registry = start_registry()  # one that no stopped push before still sends to
    registry.fault(method="PATCH", bytes_per_second=MB)
    files = docker_archive(noise(9 * MB), noise(9 * MB), gzipped=kind == "gzipped")
    path = written(tmp_path, archive_of(files))
    if kind == "gzipped-as-a-whole":
        path.write_bytes(gzip.compress(path.read_bytes(), 1))
    usual = {"IMAGE_NAME": "app:1.0", "PACKAGE_NAME": "my-container-app", "IMAGE_ARCHIVE": str(path), "TAGS": "stopped"}
    running = start(registry, **(usual | NOWHERE))
    registry.wait_for(method="PATCH", received=MB, state="open")
    running.signal(signal.SIGTERM)
    running.finish().expect(143, "The push was stopped by signal SIGTERM", within=2)
    assert digest_in(registry, "stopped") is None


@pytest.mark.parametrize("gzipped", [False, True], ids=["plain", "gzipped"])
def test_two_pushes_of_one_archive_at_once_both_arrive(
    registry: LocalRegistry, start: Start, tmp_path: Path, gzipped: bool
) -> None:
    path = written(tmp_path, docker_archive(noise(10 * MB), noise(MB), gzipped=gzipped))
    usual = {"IMAGE_NAME": "app:1.0", "PACKAGE_NAME": "my-container-app", "IMAGE_ARCHIVE": str(path), "TAGS": "both"}
    running = [start(registry, **(usual | NOWHERE | {"RESULT_FILE": ""})) for _ in range(2)]
    finished = [each.finish() for each in running]
    for each in finished:
        each.expect(0, "✔")
    assert finished[0].references == finished[1].references
    assert (digest_in(registry, "both") or "?") in finished[0].references[0]


def test_two_archives_at_once_to_one_tag_are_told_apart(registry: LocalRegistry, start: Start, tmp_path: Path) -> None:
    running = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = written(folder, docker_archive(noise(5 * MB)))
        usual = {"IMAGE_NAME": "app:1.0", "PACKAGE_NAME": "my-container-app", "IMAGE_ARCHIVE": str(path), "TAGS": "one"}
        running.append(start(registry, **(usual | NOWHERE | {"RESULT_FILE": ""})))
    finished = [each.finish() for each in running]
    there = digest_in(registry, "one")
    assert there
    assert sorted(each.exit_code for each in finished) in ([0, 0], [0, 6]), [each.shown("0 or 6") for each in finished]
    assert any(there in reference for each in finished for reference in each.references)


def test_a_chunk_that_broke_off_does_not_cost_the_archive(registry: LocalRegistry, run: Run, tmp_path: Path) -> None:
    registry.fault(method="PATCH", path=UPLOADS, cut="reset", after=MB, times=1)
    path = written(tmp_path, docker_archive(noise(20 * MB), gzipped=True))
    finished = pushed(run, registry, path, TAGS="broken-off")
    finished.expect(0, "✔ Pushed")
    finished.expect_not("Attempt 1 of 3 failed")
