"""Archives and layouts in the forms that real tools write them, each with the digest that belongs under the tag.

Where a tool is named, its output was looked at; `docs/archives.md` lists versions.
"""

import functools
import gzip
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass

from unit.source.archives import (
    CONFIG,
    IMAGE_ID,
    LAYERS,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Files,
    as_json,
    digest,
    docker_archive,
    layout,
    tar,
)

EMPTY = "application/vnd.oci.empty.v1+json"


@dataclass(frozen=True, slots=True)
class Form:
    """One form.

    Attributes:
        data: An archive, or the files of a directory.
        tagged: The digest of the manifest that belongs under the tag; "" if the manifest must be made.
        image: The ID of the only image, if its manifest must be made.
        logged: Words of the log.
    """

    data: bytes | Files
    tagged: str = ""
    image: str = ""
    logged: tuple[str, ...] = ()


class Blobs:
    """Collects the blobs of a layout."""

    def __init__(self) -> None:
        self.files: Files = {}

    def put(self, data: bytes, media_type: str, **more: object) -> dict[str, object]:
        """Add a blob; return its descriptor."""
        self.files[f"blobs/sha256/{digest(data)[7:]}"] = data
        return {"mediaType": media_type, "digest": digest(data), "size": len(data), **more}

    def image(self, architecture: str, **manifest: object) -> dict[str, object]:
        """Add an image; return its descriptor."""
        config = as_json(CONFIG | {"architecture": architecture})
        layers = [self.put(gzip.compress(layer, mtime=0), OCI_LAYER) for layer in LAYERS]
        body = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": self.put(config, OCI_CONFIG), "layers": layers}
        platform = {"os": "linux", "architecture": architecture}
        return self.put(as_json(body | manifest), OCI_MANIFEST, platform=platform)

    def index(self, *children: dict[str, object], **more: object) -> dict[str, object]:
        """Add an index; return its descriptor."""
        return self.put(as_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}), OCI_INDEX, **more)

    def layout(self, *roots: dict[str, object]) -> Files:
        """Return all files."""
        return self.files | {
            "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
            "index.json": as_json({"schemaVersion": 2, "manifests": roots}),
        }

    def drop(self, descriptor: dict[str, object]) -> None:
        """Remove a blob."""
        del self.files[f"blobs/sha256/{str(descriptor['digest'])[7:]}"]


def named(descriptor: dict[str, object], name: str) -> dict[str, object]:
    """Name a root as most tools do."""
    return descriptor | {"annotations": {"org.opencontainers.image.ref.name": name}}


def text(value: object) -> str:
    """Return a digest out of a descriptor."""
    return str(value)


def partial(
    platforms: tuple[str, ...], absent: tuple[str, ...], *, attested: bool = False, beside: bool = True
) -> Files:
    """`docker save` of a containerd store: an index, and the blobs of some platforms (`beside` a manifest.json)."""
    blobs = Blobs()
    images = {each: blobs.image(each) for each in platforms}
    more = []
    if attested:
        layer = blobs.put(b"{}", "application/vnd.in-toto+json")
        unknown = {"os": "unknown", "architecture": "unknown"}
        more = [blobs.image("unknown", layers=[layer]) | {"platform": unknown}]
    index = blobs.index(*images.values(), *more)
    for each in absent:
        blobs.drop(images[each])
    config = f"blobs/sha256/{digest(as_json(CONFIG | {'architecture': platforms[0]}))[7:]}"
    layers = [f"blobs/sha256/{digest(gzip.compress(layer, mtime=0))[7:]}" for layer in LAYERS]
    manifest = {"manifest.json": as_json([{"Config": config, "RepoTags": ["app:1.0"], "Layers": layers}])}
    return blobs.layout(named(index, "1.0")) | (manifest if beside else {})


def digest_of_manifest(files: Files, number: int) -> str:
    """Return the digest of one of the manifests in the only index of a layout."""
    [root] = json.loads(files["index.json"])["manifests"]
    index = json.loads(files[f"blobs/sha256/{root['digest'][7:]}"])
    return str(index["manifests"][number]["digest"])


def without_layers(value: object) -> tuple[Files, str]:
    """BuildKit's image of `FROM scratch` and `LABEL`, in both forms; and its manifest's digest."""
    blobs = Blobs()
    rootfs = {"type": "layers"} | ({} if value == "absent" else {"diff_ids": value})
    config = as_json({"architecture": "amd64", "os": "linux", "rootfs": rootfs})
    body: dict[str, object] = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": blobs.put(config, OCI_CONFIG)}
    image = blobs.put(as_json(body if value == "absent" else body | {"layers": value}), OCI_MANIFEST)
    old = {"Config": f"blobs/sha256/{digest(config)[7:]}", "RepoTags": ["app:1.0"]}
    manifest = as_json([old if value == "absent" else old | {"Layers": value}])
    return blobs.layout(named(image, "1.0")) | {"manifest.json": manifest}, text(image["digest"])


def transport(platforms: tuple[str, ...] = ("amd64",)) -> tuple[Files, str]:
    """Skopeo's `dir:`, of one image or (`--all`) of an index; and the digest of the top manifest."""
    made = layout(platforms)
    [root] = json.loads(made["index.json"])["manifests"]
    files: Files = {"version": b"Directory Transport Version: 1.1\n"}
    for name, data in made.items():
        if name.startswith("blobs/"):
            is_manifest = b'"schemaVersion"' in content(data)
            files[f"{name[13:]}.manifest.json" if is_manifest else name[13:]] = data
    files["manifest.json"] = files.pop(f"{root['digest'][7:]}.manifest.json")
    return files, root["digest"]


def apko() -> Files:
    """apko: a docker archive, beside an index.json whose blobs are elsewhere."""
    packed: Files = {f"{digest(layer)[7:]}.tar.gz": gzip.compress(layer, mtime=0) for layer in LAYERS}
    manifest = as_json({"schemaVersion": 2, "mediaType": OCI_MANIFEST})
    root = {"mediaType": OCI_MANIFEST, "digest": digest(manifest), "size": len(manifest)}
    listed = [{"Config": IMAGE_ID, "RepoTags": ["app:1.0-amd64"], "Layers": [*packed]}]
    return packed | {
        IMAGE_ID: as_json(CONFIG),
        digest(manifest): manifest,
        "manifest.json": as_json(listed),
        "index.json": as_json({"schemaVersion": 2, "manifests": [root]}),
    }


def docker_25(*, nothing: bool) -> Files:
    """Docker 25.0.0 and 25.0.1: index.json lists nothing, or a manifest without the layers."""
    blobs = Blobs()
    blobs.put(as_json(CONFIG), OCI_CONFIG)
    for layer in LAYERS:
        blobs.put(layer, "")
    body = {"schemaVersion": 2, "config": blobs.put(as_json(CONFIG), OCI_CONFIG), "layers": []}
    files = blobs.layout(blobs.put(as_json(body), OCI_MANIFEST))
    layers = [f"blobs/sha256/{digest(layer)[7:]}" for layer in LAYERS]
    files["manifest.json"] = as_json([{"Config": f"blobs/sha256/{IMAGE_ID[7:]}", "RepoTags": None, "Layers": layers}])
    return files | ({"index.json": b'{"schemaVersion":2,"manifests":null}'} if nothing else {})


def twice(*, other: bool) -> bytes:
    """`crane pull A B out.tar` writes what both images have twice; another writer corrects an entry."""
    config = as_json(CONFIG)
    first = b"{}" if other else config
    return tar({"config.json": first})[: 512 + 512 * -(-len(first) // 512)] + tar(docker_archive())


def with_child_and_index() -> tuple[Files, str]:
    """`oras copy --to-oci-layout`: index.json lists an index and its own children."""
    blobs = Blobs()
    children = blobs.image("amd64"), blobs.image("arm64")
    index = blobs.index(*children)
    return blobs.layout(named(index, "v1"), *children), text(index["digest"])


def with_referrer() -> tuple[Files, str]:
    """`oras backup --include-referrers`: index.json lists an image and an artifact about it."""
    blobs = Blobs()
    image = blobs.image("amd64")
    empty = blobs.put(b"{}", EMPTY)
    subject = {key: image[key] for key in ("mediaType", "digest", "size")}
    body = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "application/vnd.sig"}
    artifact = blobs.put(as_json(body | {"config": empty, "layers": [empty], "subject": subject}), OCI_MANIFEST)
    return blobs.layout(named(image, "v1"), artifact), text(image["digest"])


def cosigned() -> tuple[Files, str]:
    """`cosign save` of a signed image: index.json tells the image from its signature by an annotation."""
    blobs = Blobs()
    kinds = {kind: {"annotations": {"kind": f"dev.cosignproject.cosign/{kind}"}} for kind in ("image", "sigs")}
    image = blobs.image("amd64")
    layer = blobs.put(b"{}", "application/vnd.dev.cosign.simplesigning.v1+json")
    config = blobs.put(as_json({"rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}), OCI_CONFIG)
    signature = blobs.put(as_json({"schemaVersion": 2, "config": config, "layers": [layer]}), OCI_MANIFEST)
    return blobs.layout(image | kinds["image"], signature | kinds["sigs"]), text(image["digest"])


def with_list_of_referrers(suffix: str = "") -> tuple[Files, str]:
    """Regclient lists artifacts under a tag of the layout, as in a registry; `.sig` is where cosign has signatures."""
    blobs = Blobs()
    image, empty = blobs.image("amd64"), blobs.put(b"{}", EMPTY)
    artifact = blobs.put(as_json({"config": empty, "layers": [empty], "subject": image}), OCI_MANIFEST)
    signature = blobs.put(as_json({"config": empty, "layers": [empty]}), OCI_MANIFEST)
    other = signature if suffix else blobs.index(artifact)
    tag = f"sha256-{str(image['digest'])[7:]}{suffix}"
    return blobs.layout(named(other, tag), named(image, "v1")), text(image["digest"])


def policy() -> tuple[Files, str]:
    """`oras push --config config.json:application/vnd.oci.image.config.v1+json`, as Open Policy Agent documents it."""
    blobs = Blobs()
    layer = blobs.put(gzip.compress(b"x", mtime=0), OCI_LAYER)
    config = blobs.put(b"{}", OCI_CONFIG)
    root = blobs.put(as_json({"schemaVersion": 2, "config": config, "layers": [layer]}), OCI_MANIFEST)
    return blobs.layout(root), text(root["digest"])


def artifact() -> tuple[Files, str]:
    """An OCI artifact alone, as oras writes it."""
    blobs = Blobs()
    empty = blobs.put(b"{}", EMPTY)
    body = {
        "schemaVersion": 2,
        "artifactType": "text/plain",
        "config": empty,
        "layers": [blobs.put(b"x", "text/plain")],
    }
    root = blobs.put(as_json(body), OCI_MANIFEST)
    return blobs.layout(root), text(root["digest"])


def large_config() -> Files:
    """Old buildpacks: five megabytes of labels."""
    return docker_archive(config=CONFIG | {"config": {"Labels": {"bom": "x" * (5 << 20)}}})


def large_config_of_a_layout() -> tuple[Files, str]:
    """The same as a layout."""
    blobs = Blobs()
    layers = [blobs.put(gzip.compress(layer, mtime=0), OCI_LAYER) for layer in LAYERS]
    config = blobs.put(content(large_config()["config.json"]), OCI_CONFIG)
    root = blobs.put(as_json({"config": config, "layers": layers}), OCI_MANIFEST)
    return blobs.layout(root), text(root["digest"])


def content(data: bytes | str) -> bytes:
    """Return the content of a file that is not a link."""
    assert isinstance(data, bytes)
    return data


LOWERCASE = docker_archive(
    manifest=[{"config": "config.json", "repoTags": ["app:1.0"], "layers": ["base.tar", "top.tar"]}]
)
UNUSED_LINKS = {"etc/mtab": "/proc/mounts", "a/b": "../../x"}
UNUSED_ENTRIES: Files = {"../../etc/passwd": b"x", "/etc/passwd": b"x"}


def forms() -> dict[str, Callable[[], Form]]:
    """Return every form that is pushed, by its readable name."""
    one, two = ("amd64", "arm64"), ("amd64", "arm64", "s390x")

    def of(pair: tuple[Files, str], *, archived: bool = True) -> Form:
        return Form(tar(pair[0]) if archived else pair[0], pair[1])

    def lacking(platforms: tuple[str, ...], absent: tuple[str, ...], number: int, **options: bool) -> Form:
        files = partial(platforms, absent, **options)
        return Form(tar(files), digest_of_manifest(files, number), logged=(f"does not contain linux/{absent[0]}",))

    made: dict[str, Callable[[], Form]] = {
        "one-platform-of-two": lambda: lacking(one, ("arm64",), 0),
        "second-platform-of-two": lambda: lacking(one, ("amd64",), 1, beside=False),
        "one-platform-of-two-attested": lambda: lacking(one, ("arm64",), 0, attested=True),
        "one-platform-of-three": lambda: lacking(two, ("arm64", "s390x"), 0),
        "children-beside-their-index": lambda: of(with_child_and_index()),
        "a-referrer-beside-its-image": lambda: of(with_referrer()),
        "cosign-save": lambda: Form(cosigned()[0], cosigned()[1], logged=("`cosign save` wrote, which stay behind",)),
        "a-list-of-referrers": lambda: of(with_list_of_referrers()),
        "signatures-under-a-tag": lambda: of(with_list_of_referrers(".sig")),
        "a-policy": lambda: of(policy()),
        "an-artifact-alone": lambda: of(artifact()),
        "skopeo-dir": lambda: of(transport(), archived=False),
        "skopeo-dir-of-all-platforms": lambda: of(transport(one), archived=False),
        "skopeo-dir-in-a-tar": lambda: of(transport()),
        "apko": lambda: Form(tar(apko()), image=IMAGE_ID, logged=("Reading manifest.json instead of index.json",)),
        "docker-25-by-id": lambda: Form(tar(docker_25(nothing=True)), image=IMAGE_ID),
        "docker-25": lambda: Form(tar(docker_25(nothing=False)), image=IMAGE_ID),
        "containerify": lambda: Form(tar(LOWERCASE), image=IMAGE_ID),
        "an-entry-twice": lambda: Form(twice(other=False), image=IMAGE_ID),
        "an-entry-corrected": lambda: Form(twice(other=True), image=IMAGE_ID),
        "a-link-corrected": lambda: Form(tar({"base.tar": "x"})[:512] + tar(docker_archive()), image=IMAGE_ID),
        "links-that-nothing-needs": lambda: Form(tar(docker_archive() | UNUSED_LINKS), image=IMAGE_ID),
        "entries-that-nothing-needs": lambda: Form(tar(docker_archive() | UNUSED_ENTRIES), image=IMAGE_ID),
        "no-blocks-at-the-end": lambda: Form(unmarked(docker_archive()), image=IMAGE_ID),
        "large-config": lambda: Form(tar(large_config()), image=digest(content(large_config()["config.json"]))),
        "large-config-of-a-layout": lambda: of(large_config_of_a_layout()),
    }
    empty: list[tuple[str, object]] = [("null", None), ("empty", []), ("absent", "absent")]
    for name, value in empty:
        made[f"no-layers-{name}"] = functools.partial(of, without_layers(value))
    return made


def unmarked(files: Files) -> bytes:
    """Write a tar without the blocks of zeros at its end."""
    data = tar(files)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        last = archive.getmembers()[-1]
    return data[: last.offset_data + 512 * -(-last.size // 512)]
