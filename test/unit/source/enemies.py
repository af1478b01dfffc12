"""Documents and entries that no honest program writes, or that few do."""

import json
import tarfile
from collections.abc import Callable
from typing import Any

from unit.source.archives import LAYERS, OCI_INDEX, Files, as_json, digest, docker_archive, layout, tar


def header(**fields: object) -> bytes:
    """Make a header with fields that no archive should have."""
    member = tarfile.TarInfo("x")
    for name, value in fields.items():
        setattr(member, name, value)
    return member.tobuf(tarfile.GNU_FORMAT)


def nested(levels: int) -> Files:
    """Make indexes in indexes."""
    files = dict(layout())
    for _ in range(levels):
        root = json.loads(files["index.json"])["manifests"][0]
        body = as_json({"mediaType": OCI_INDEX, "manifests": [root]})
        files[f"blobs/sha256/{digest(body)[7:]}"] = body
        files["index.json"] = as_json(
            {"manifests": [{"digest": digest(body), "size": len(body), "mediaType": OCI_INDEX}]}
        )
    return files


def wide() -> Files:
    """Make an index of twelve indexes of twelve indexes of twelve."""
    files = dict(layout())
    [image] = json.loads(files["index.json"])["manifests"]

    def branch(*path: int) -> dict[str, object]:
        named = [branch(*path, number) for number in range(12)] if len(path) < 3 else [image]
        return index_of(files, named, at=path)

    return files | {"index.json": as_json({"manifests": [branch()]})}


def changed_layer(**fields: object) -> Files:
    """Make a layout whose manifest describes its first layer differently."""
    [first, *others] = manifest_of(layout())["layers"]
    return changed_manifest(layers=[first | fields, *others])


def manifest_of(files: Files) -> dict[str, Any]:
    """Return the manifest of a layout of one image."""
    [root] = json.loads(files["index.json"])["manifests"]
    found: dict[str, Any] = json.loads(files[f"blobs/sha256/{root['digest'][7:]}"])
    return found


def changed_manifest(**fields: object) -> Files:
    """Make a layout whose manifest has other members; index.json does not say what it is."""
    files = dict(layout())
    manifest = manifest_of(files) | fields
    body = as_json(manifest)
    files[f"blobs/sha256/{digest(body)[7:]}"] = body
    files["index.json"] = as_json({"manifests": [{"digest": digest(body), "size": len(body)}]})
    return files


def index_of(files: Files, named: object, **more: object) -> dict[str, object]:
    """Add an index, and return its descriptor."""
    body = as_json({"mediaType": OCI_INDEX, "manifests": named, **more})
    files[f"blobs/sha256/{digest(body)[7:]}"] = body
    return {"digest": digest(body), "size": len(body), "mediaType": OCI_INDEX}


def size_of_manifest() -> Files:
    """Make a layout whose index says another size of its manifest."""
    files = dict(layout())
    [root] = json.loads(files["index.json"])["manifests"]
    return files | {"index.json": as_json({"manifests": [root | {"size": root["size"] + 1}]})}


def ambiguous() -> Files:
    """Make a document that one reader takes for a manifest, and another for an index (CVE-2021-41190)."""
    files = dict(layout())
    [root] = json.loads(files["index.json"])["manifests"]
    manifest = json.loads(files[f"blobs/sha256/{root['digest'][7:]}"])
    body = as_json(manifest | {"manifests": [root]})
    files[f"blobs/sha256/{digest(body)[7:]}"] = body
    return files | {"index.json": as_json({"manifests": [{"digest": digest(body), "size": len(body)}]})}


def words(records: dict[str, str]) -> bytes:
    """Make an archive with an extended header."""
    member = tarfile.TarInfo("x")
    member.pax_headers = records
    return member.tobuf(tarfile.PAX_FORMAT) + bytes(1024)


def sparse(name: str) -> bytes:
    """Make a docker archive with one entry that GNU tar stored without its holes."""
    files = docker_archive()
    data = files.pop(name)
    member = tarfile.TarInfo(name)
    # One block of the content is stored, after one more block of the map of holes.
    member.type, member.size = tarfile.GNUTYPE_SPARSE, 512
    head = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    head[482] = 1
    head[148:156] = b"%06o\0 " % (sum(head) - sum(head[148:156]) + 8 * 32)
    return bytes(head) + bytes(512) + data_block(data) + tar(files)


def data_block(data: bytes | str) -> bytes:
    """Return one block of content."""
    return (data if isinstance(data, bytes) else data.encode())[:512].ljust(512, b"\0")


def without(files: Files, part: Callable[[str], bool]) -> Files:
    """Leave files out."""
    return {name: content for name, content in files.items() if not part(name)}


SELF = as_json({"mediaType": OCI_INDEX, "manifests": [{"digest": "sha256:" + "0" * 64, "size": 1}]})
TWO = ("amd64", "arm64")


def manifests_of(files: Files) -> list[str]:
    """Return the files of an index's manifests."""
    root = json.loads(files["index.json"])["manifests"][0]["digest"]
    index = json.loads(files[f"blobs/sha256/{root[7:]}"])
    return [f"blobs/sha256/{each['digest'][7:]}" for each in index["manifests"]]


MANIFESTS_OF_TWO = manifests_of(layout(TWO))
WINDOWS = {
    "Config": "config.json",
    "Layers": ["base.tar", "top.tar"],
    "LayerSources": {
        digest(LAYERS[0]): {
            "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "digest": digest(LAYERS[0]),
            "size": 1,
            "urls": ["https://example.com/layer"],
        }
    },
}


def chain(length: int) -> bytes:
    """Make a docker archive whose upper layer is at the end of a chain of links."""
    links = {f"{number}": f"{number + 1}" for number in range(length)} | {f"{length}": "base.tar"}
    return tar(without(docker_archive(), "top.tar".__eq__) | links | {"top.tar": "0"})


def with_records(number: int) -> bytes:
    """Make an archive whose extended header has many irrelevant records."""
    records = b"6 a=b\n" * number
    head = header(type=tarfile.XHDTYPE, size=len(records))
    return head + records + bytes(-len(records) % 512) + tar(docker_archive())


def many_records() -> bytes:
    """Make an archive of many extended headers in a row, no two records of which have one name."""
    headers = []
    for number in range(2):
        names = (f"{number:03}{record:05}" for record in range(60_000))
        records = "".join(f"13 {name}=\n" for name in names).encode()
        headers.append(header(type=tarfile.XHDTYPE, size=len(records)) + records + bytes(-len(records) % 512))
    return b"".join(headers) + tar(docker_archive())


def many_values(value: bytes) -> bytes:
    """Make a `manifest.json` as large as any that is read, of nothing but small values."""
    return tar(
        docker_archive() | {"manifest.json": b"[" + (value + b",") * (2**22 // (len(value) + 1) - 1) + value + b"]"}
    )


def many_layers() -> Files:
    """Make manifests that name one layer sixty thousand times."""
    files = dict(layout())
    [root] = json.loads(files["index.json"])["manifests"]
    manifest = json.loads(files[f"blobs/sha256/{root['digest'][7:]}"])
    named = []
    for number in range(3):
        body = as_json(manifest | {"layers": manifest["layers"][:1] * 20_000, "annotations": {"number": str(number)}})
        files[f"blobs/sha256/{digest(body)[7:]}"] = body
        named.append({"digest": digest(body), "size": len(body)})
    return files | {"index.json": as_json({"manifests": [index_of(files, named)]})}
