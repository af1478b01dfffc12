"""Odd archives: forms of real tools, with documents changed (and found by their new digests), entries and bytes too."""

import gzip
import io
import json
import random
import tarfile
from collections.abc import Callable
from typing import Any

from unit.source.archives import Files, digest, docker_archive, layout
from unit.source.forms import (
    apko,
    artifact,
    cosigned,
    docker_25,
    partial,
    policy,
    transport,
    with_child_and_index,
    with_referrer,
    without_layers,
)

MAXIMUM = 1_000_000
"""Bytes of an input."""
_SEEDS: list[Callable[[], Files]] = [
    docker_archive,
    lambda: docker_archive(gzipped=True),
    layout,
    lambda: layout(("amd64", "arm64"), attested=True),
    lambda: partial(("amd64", "arm64", "s390x"), ("arm64",), attested=True),
    lambda: with_child_and_index()[0],
    lambda: with_referrer()[0],
    lambda: artifact()[0],
    lambda: cosigned()[0],
    lambda: policy()[0],
    lambda: transport(("amd64", "arm64"))[0],
    lambda: without_layers(None)[0],
    lambda: docker_25(nothing=False),
    apko,
]
_KEYS = (
    "mediaType",
    "config",
    "layers",
    "manifests",
    "digest",
    "size",
    "os",
    "rootfs",
    "diff_ids",
    "Layers",
    "subject",
)
_NAMES = ("../x", "/etc/passwd", ".", "", "a" * 300, "é", "\udcff", "blobs/sha256", "index.json", "manifest.json")


def make(rng: random.Random) -> tuple[bytes, str]:
    """Make an input; return it with the digest of its top manifest, "" if it is not known."""
    files = rng.choice(_SEEDS)()
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        _change_document(rng, files)
    top = _top(files)
    data = _packed(rng, files)
    if rng.random() < 0.5:
        data = changed_bytes(rng, data)
    if rng.random() < 0.3:
        level = rng.choice((1, 9))
        pieces = [data] if rng.random() < 0.5 else [data[at : at + 50] for at in range(0, len(data), 50)]
        data = b"".join(gzip.compress(piece, level) for piece in pieces)
        if rng.random() < 0.3:
            data = changed_bytes(rng, data)
    return data[:MAXIMUM], top


def _top(files: Files) -> str:
    try:
        return str(json.loads(files["index.json"])["manifests"][0]["digest"])
    except (LookupError, ValueError, TypeError):
        return ""


def _change_document(rng: random.Random, files: Files) -> None:
    """Change a JSON document; those that refer to it by its digest then refer to the new one."""
    documents = [name for name, data in files.items() if isinstance(data, bytes) and data[:1] in {b"{", b"["}]
    if not documents:
        return
    name = rng.choice(documents)
    before = files.pop(name)
    content = json.loads(before)
    _change(rng, content)
    after = json.dumps(content).encode()
    _replace(files, name, before if isinstance(before, bytes) else b"", after)


def _replace(files: Files, name: str, before: bytes, after: bytes) -> None:
    old, new = digest(before)[7:], digest(after)[7:]
    files[name.replace(old, new)] = after
    for other, data in list(files.items()):
        if files.get(other) is data and isinstance(data, bytes) and old.encode() in data and data[:1] in {b"{", b"["}:
            changed = data.replace(old.encode(), new.encode())
            changed = changed.replace(b'"size": %d' % len(before), b'"size": %d' % len(after))
            del files[other]
            _replace(files, other, data, changed)


def _change(rng: random.Random, content: Any) -> None:  # noqa: ANN401
    """Change one member or element somewhere in a document."""
    while True:
        inner = list(content.values()) if isinstance(content, dict) else list(content)
        inner = [each for each in inner if isinstance(each, (dict, list)) and each]
        if not inner or rng.random() < 0.3:
            break
        content = rng.choice(inner)
    key: Any = rng.choice(list(content) if isinstance(content, dict) and content else [*_KEYS])
    if isinstance(content, list):
        if not content or rng.random() < 0.3:
            content.extend(content * rng.choice((1, 2, 50)) if len(content) < 100 else [])
            return
        key = rng.randrange(len(content))
    elif rng.random() < 0.3:
        key = rng.choice(_KEYS)
    content[key] = _odd(rng)
    if rng.random() < 0.2:
        del content[key]


def _odd(rng: random.Random) -> object:
    """Make a value that does not belong anywhere."""
    return rng.choice(
        [
            None,
            True,
            -1,
            2**63,
            1.5,
            "",
            "x" * 1000,
            "sha256:" + "0" * 64,
            "sha512:" + "0" * 128,
            [],
            {},
            [None],
            [[]],
            {"": None},
            {"digest": "sha256:" + "0" * 64, "size": 0},
            ["../x"],
            "application/vnd.oci.image.index.v1+json",
            json.loads("[" * 500 + "]" * 500),
        ]
    )


def _packed(rng: random.Random, files: Files) -> bytes:
    """Write a tar with some odd entries."""
    content = io.BytesIO()
    names = list(files)
    rng.shuffle(names)
    names += rng.choices(names, k=rng.choice((0, 0, 1, 3)))
    with tarfile.open(
        fileobj=content, mode="w", format=rng.choice((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    ) as archive:
        for name in names:
            data = files[name]
            member = tarfile.TarInfo(name)
            if rng.random() < 0.05:
                member.name = rng.choice(_NAMES)
            if isinstance(data, str) or rng.random() < 0.05:
                member.type = rng.choice((tarfile.SYMTYPE, tarfile.LNKTYPE))
                member.linkname = rng.choice((*names, *_NAMES))
                archive.addfile(member)
                continue
            if rng.random() < 0.05:
                member.type = bytes([rng.randrange(256)])
            if rng.random() < 0.05:
                member.pax_headers = {rng.choice(("GNU.sparse.name", "size", "path", "linkpath")): rng.choice(_NAMES)}
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


def changed_bytes(rng: random.Random, data: bytes) -> bytes:
    """Flip, cut, repeat or insert some bytes."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 10))):
        at = rng.randrange(len(changed) or 1)
        what = rng.randrange(5)
        if what == 0 and changed:
            changed[at : at + 1] = bytes([rng.randrange(256)])
        elif what == 1:
            del changed[at : at + rng.choice((1, 512, 10_000))]
        elif what == 2:
            changed[at:at] = rng.randbytes(rng.choice((1, 512)))
        elif what == 3:
            changed[at:at] = changed[at : at + 5000] * rng.choice((2, 50))
        else:
            # A header's fields are where mistakes matter most.
            block = at - at % 512
            field = block + rng.choice((0, 124, 148, 156, 157, 257, 345, 482))
            changed[field : field + 8] = rng.choice((bytes(8), b"\x80" + b"\xff" * 7, b"77777777", b"-0000001"))
    return bytes(changed[:MAXIMUM])
