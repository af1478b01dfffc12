"""Layers in every form that the pipe writes: pulled by every client, over links and registries on their bad days."""

import gzip
import hashlib
import json
import random
from pathlib import Path
from typing import Any

import docker
import pytest
from integration.archives import NOWHERE, Workshop, raw
from integration.images import MB, archive_of
from integration.registries import REPOSITORY, digest_in
from integration.running import Finished, Run
from integration.second_engine import INSIDE, Second
from integration.transfers import stored, transfer, unpacked
from registry.client import LocalRegistry

from pipe.registry.upload import CHUNK
from pipe.source.blob import in_memory

FORMS = ("auto", "fast", "small", "zstd")
"""Values of COMPRESSION; each makes layers of other bytes."""
KINDS = ("fast", "auto", "zstd")
"""Those of other libraries: `small` is `auto` with another level."""
READER = {"username": "reader", "password": "reader-token"}
ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
WORKSPACE = REPOSITORY.partition("/")[0]


def random_bytes(size: int, seed: str) -> bytes:
    """Make bytes that do not compress."""
    return random.Random(seed).randbytes(size)


SAME = archive_of({"same/file": b"the same twice\n" * 1000})
LAYERS = (
    archive_of({f"text/{number}": f"{number} lines of text\n".encode() * 4000 for number in range(30)}),
    archive_of({f"noise/{copy}": random_bytes(2 * MB, "noise") for copy in range(5)}),
    archive_of({"zeros": bytes(5 * MB)}),
    bytes(1024),
    SAME,
    SAME,
)
"""Several blocks; content that does not compress, but is repeated across blocks and in a second zstd frame; zeros, a
layer without files, and two layers of the same content."""
DIFF_IDS = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in LAYERS]


def image_archive(path: Path, layers: tuple[bytes, ...] = LAYERS, base: str = "") -> Path:
    """Write a docker archive; a label names the base image."""
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": {"org.opencontainers.image.base.name": base}} if base else {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in layers]},
        "history": [{"created_by": f"COPY {number} /"} for number in range(len(layers))],
    }
    names = [f"{number}.tar" for number in range(len(layers))]
    manifest = [{"Config": "config.json", "RepoTags": ["app:1.0"], "Layers": names}]
    documents = {"config.json": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()}
    path.write_bytes(archive_of(dict(zip(names, layers, strict=True)) | documents))
    return path


def pushed(run: Run, registry: LocalRegistry, path: Path, tag: str, **variables: str) -> Finished:
    """Push an archive."""
    usual = {"IMAGE_NAME": "app:1.0", "PACKAGE_NAME": "my-container-app", "TAGS": tag, "IMAGE_ARCHIVE": str(path)}
    return run(registry, **(usual | NOWHERE | variables))


_pushed: set[str] = set()


@pytest.fixture
def forms(second_registry: LocalRegistry, run: Run, tmp_path: Path) -> LocalRegistry:
    """A registry that has the image in every form, under the form's name; pushed once for all tests."""
    for form in FORMS if second_registry.host not in _pushed else ():
        path = image_archive(tmp_path / "image.tar")
        pushed(run, second_registry, path, f"form-{form}", COMPRESSION=form).expect(0, "✔ Pushed")
        manifest = json.loads(stored_manifest(second_registry, f"form-{form}"))
        types = {layer["mediaType"].rpartition("tar")[2] for layer in manifest["layers"]}
        assert types == ({"+zstd"} if form == "zstd" else {".gzip"})
        _pushed.add(second_registry.host)
    return second_registry


def stored_manifest(registry: LocalRegistry, tag: str) -> str:
    """Read a manifest of any type past the pipe."""
    headers = registry.bearer("reader", f"{REPOSITORY}:pull")
    accept = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
    with registry.session() as session:
        url = f"{registry.url}/v2/{REPOSITORY}/manifests/{tag}"
        answer = session.get(url, headers=headers | {"Accept": ", ".join(accept)}, timeout=10)
    answer.raise_for_status()
    return answer.text


def pull(client: docker.DockerClient, address: str, tag: str) -> list[str]:
    """Pull with an Engine, which compares every layer with its diffID; return these, and remove the image."""
    client.api.pull(f"{address}/{REPOSITORY}", tag=tag, auth_config=READER)
    image = client.images.get(f"{address}/{REPOSITORY}:{tag}")
    client.images.remove(f"{address}/{REPOSITORY}:{tag}", force=True)
    layers: list[str] = image.attrs["RootFS"]["Layers"]
    return layers


def test_an_old_engine_pulls_every_form_of_gzip(forms: LocalRegistry, engine: docker.DockerClient) -> None:
    """Engines read zstd from 23.0."""
    major = int(engine.version()["Version"].partition(".")[0])
    for form in FORMS if major >= 23 else FORMS[:3]:
        assert pull(engine, forms.host, f"form-{form}") == DIFF_IDS, form


@pytest.mark.root
def test_a_newer_engine_pulls_every_form_to_both_stores(forms: LocalRegistry, second: Second) -> None:
    for form in KINDS:
        assert pull(second.client, INSIDE, f"form-{form}") == DIFF_IDS, form


@pytest.mark.root
def test_podman_pulls_every_form(forms: LocalRegistry, shop: Workshop) -> None:
    for form in KINDS:
        name = f"{forms.host}/{REPOSITORY}:form-{form}"
        shop.podman("pull", "--tls-verify=false", "--creds=reader:reader-token", name)
        assert json.loads(shop.podman("image", "inspect", name))[0]["RootFS"]["Layers"] == DIFF_IDS, form
        shop.podman("image", "rm", "--force", name)


@pytest.mark.root
def test_skopeo_unpacks_every_form(forms: LocalRegistry, shop: Workshop) -> None:
    for form in FORMS:
        path = shop.folder / form
        access = ("--src-tls-verify=false", "--src-creds=reader:reader-token")
        source = f"docker://{forms.host}/{REPOSITORY}:form-{form}"
        shop.skopeo("copy", "--dest-decompress", *access, source, f"dir:{path}")
        layers = json.loads((path / "manifest.json").read_bytes())["layers"]
        contents = [(path / layer["digest"].removeprefix("sha256:")).read_bytes() for layer in layers]
        assert [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in contents] == DIFF_IDS, form


def test_a_link_that_drops_to_a_tenth_and_rises_again(registry: LocalRegistry) -> None:
    """The level of compression changes within the layer."""
    half = random_bytes(400_000, "link").hex().encode()
    plain = half * 50  # 40 MB, of which gzip leaves about half
    registry.fault(method="PATCH", content_range=f"{CHUNK}-*", times=1, bytes_per_second=8 * MB)
    digest = f"sha256:{hashlib.sha256(plain).hexdigest()}"
    blob = in_memory("layer", "", plain)._replace(descriptor=None, diff_id=digest)
    found = transfer(registry, blob)[digest]
    assert len(registry.requests(method="PATCH", content_range=f"{CHUNK}-*")) == 1
    assert gzip.decompress(stored(registry, found.digest) or b"") == plain


def test_a_registry_that_rejects_zstd_changes_no_tag(registry: LocalRegistry, run: Run, tmp_path: Path) -> None:
    path = image_archive(tmp_path / "image.tar", LAYERS[:1])
    body = json.dumps({"errors": [{"code": "MANIFEST_INVALID", "message": "unsupported media type"}]})
    registry.fault(media_type="*+zstd", answer={"status": 400, "body": body})
    rejected = pushed(run, registry, path, "no-zstd", COMPRESSION="zstd")
    rejected.expect(4, "compressed with zstd", "leave COMPRESSION out", "No tag was changed.")
    assert digest_in(registry, "no-zstd") is None
    pushed(run, registry, path, "no-zstd").expect(0, "✔ Pushed")
    assert unpacked(registry, "no-zstd") == DIFF_IDS[:1]


def test_a_zstd_layer_is_not_sent_again(registry: LocalRegistry, run: Run, tmp_path: Path) -> None:
    """A layer of several chunks, whose digest is unknown before it was compressed."""
    base = archive_of({"noise": random_bytes(2 * CHUNK, "zstd-base")})
    first = image_archive(tmp_path / "first.tar", (base,))
    second = image_archive(tmp_path / "second.tar", (base, LAYERS[0]))
    pushed(run, registry, first, "zstd-1", COMPRESSION="zstd").expect(0, "✔ Pushed")
    before = len(registry.requests(method="PATCH"))
    finished = pushed(run, registry, second, "zstd-2", COMPRESSION="zstd", REUSE_FROM="zstd-1")
    finished.expect(0, "✔ Pushed")
    assert reused(finished) == [True, False]
    assert len(registry.requests(method="PATCH")) == before
    named = [json.loads(stored_manifest(registry, tag))["layers"][0] for tag in ("zstd-1", "zstd-2")]
    assert named[0] == named[1]
    assert named[0]["mediaType"] == ZSTD
    gzipped = pushed(run, registry, second, "zstd-3", REUSE_FROM="zstd-1")
    gzipped.expect(0, "✔ Pushed")
    assert reused(gzipped) == [False, False]


def reused(finished: Finished) -> list[bool]:
    """Return which layers the registry had in another image."""
    layers: Any = finished.result["layers"]
    return [layer["reused"] for layer in layers]


MOUNTS: dict[str, tuple[dict[str, object] | None, bool]] = {
    "mounted": (None, True),
    "ignored": ({"mount": "ignored"}, False),
    "challenged-for-both-packages": ({"mount": "challenged"}, True),
    "401": ({"answer": {"status": 401}}, False),
}


@pytest.mark.parametrize(("fault", "mounted"), MOUNTS.values(), ids=MOUNTS.keys())
def test_layers_of_the_base_image_s_package_are_mounted(
    registry: LocalRegistry, run: Run, tmp_path: Path, fault: dict[str, object] | None, mounted: bool
) -> None:
    base, own = archive_of({"base": random_bytes(MB, str(fault))}), archive_of({"own": b"own"})
    base_path = image_archive(tmp_path / "base.tar", (base,))
    pushed(run, registry, base_path, "base", PACKAGE_NAME="certificate-service").expect(0)
    registry.clear()
    if fault is not None:
        registry.fault(method="POST", mounts="?*", **fault)
    name = f"{registry.host}/{WORKSPACE}/certificate-service:base"
    path = image_archive(tmp_path / "app.tar", (base, own), base=name)
    finished = pushed(run, registry, path, "on-a-base")
    finished.expect(0, "✔ Pushed")
    assert unpacked(registry, "on-a-base") == [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in (base, own)]
    sent = sum(entry.received for entry in registry.requests(method="P[AU]T*", path="*/blobs/uploads/*"))
    assert (sent < MB) is mounted


def test_a_stored_layer_is_mounted_too(registry: LocalRegistry, run: Run, shop: Workshop, tmp_path: Path) -> None:
    layer = archive_of({"stored": random_bytes(MB, "stored")})
    pushed(run, registry, image_archive(tmp_path / "a.tar", (layer,)), "a", PACKAGE_NAME="certificate-service").expect(
        0
    )
    access = ("--src-tls-verify=false", "--src-creds=reader:reader-token")
    source = f"docker://{registry.host}/{WORKSPACE}/certificate-service:a"
    shop.skopeo("copy", *access, source, f"oci-archive:{tmp_path}/stored.tar:app:1.0")
    registry.clear()
    finished = pushed(run, registry, tmp_path / "stored.tar", "stored", REUSE_FROM="certificate-service:a")
    finished.expect(0, "✔ Pushed")
    layers: Any = finished.result["layers"]
    assert [each["status"] for each in layers] == ["mounted"]
    assert json.loads(raw(shop, registry, "stored"))["layers"][0]["digest"] == layers[0]["digest"]


def test_a_package_without_access_is_no_failure(registry: LocalRegistry, run: Run, tmp_path: Path) -> None:
    name = f"{registry.host}/{WORKSPACE}/other-app:1"
    path = image_archive(tmp_path / "app.tar", (archive_of({"own": random_bytes(1000, "own")}),), base=name)
    pushed(run, registry, path, "no-access", REUSE_FROM="other-app:1").expect(0, "✔ Pushed")
