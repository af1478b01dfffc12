"""What a killed Distribution leaves half written, put right before the next one starts.

Distribution 2.8 writes links and manifests in place (registry/storage/driver/filesystem, PutContent):
killed in between, it leaves a file empty that was whole before, or a manifest in part that it then
takes for stored.
"""

from __future__ import annotations

import logging
from hashlib import sha256
from typing import TYPE_CHECKING

from registry.gateway import layout
from registry.gateway.documents import LARGEST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOGGER = logging.getLogger(__name__)
# What was written so long before the last of all files was certainly whole.
_SECONDS = 60.0


def repair(root: Path) -> None:
    """Put right the links of all repositories, and remove manifests that are not what their digest says."""
    for repository in layout.repositories_folder(root).glob("*/*"):
        for link in _empty_links(repository):
            _LOGGER.warning("repairing %s", link)
            _repair_link(link)
    for data in _last_written(root):
        if data.stat().st_size <= LARGEST and sha256(data.read_bytes()).hexdigest() != data.parent.name:
            _LOGGER.warning("removing %s, which is not whole", data)
            data.unlink()
            data.parent.rmdir()


def _empty_links(repository: Path) -> Iterator[Path]:
    kinds = ("_layers/*/*/link", "_manifests/revisions/*/*/link", "_manifests/tags/*/index/*/*/link")
    for kind in (*kinds, "_manifests/tags/*/current/link"):
        for link in repository.glob(kind):
            if link.stat().st_size == 0:
                yield link


def _repair_link(link: Path) -> None:
    """Write what a link said: its folders tell it, or the newest of a tag's earlier links."""
    folder = link.parent
    if folder.name == "current":
        earlier = sorted(folder.parent.glob("index/*/*/link"), key=lambda each: each.stat().st_mtime)
        if not earlier:
            link.unlink()
            return
        folder = earlier[-1].parent
    partial = link.with_name("partial")
    partial.write_text(f"{folder.parent.name}:{folder.name}", encoding="ascii")
    partial.replace(link)


def _last_written(root: Path) -> list[Path]:
    written = [(data.stat().st_mtime, data) for data in layout.blobs_folder(root).glob("sha256/*/*/data")]
    last = max((moment for moment, _ in written), default=0.0)
    return [data for moment, data in written if moment >= last - _SECONDS]
