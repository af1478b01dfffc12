"""Garbage collection: what nothing refers to is removed while pushes go on beside it.

Distribution's own `garbage-collect` must not run beside a push, and with `--delete-untagged` it
takes the members of manifest lists away. This one marks in a thread what tags and pushes under way
lead to, and then removes the rest one by one in the event loop, where every request has leased what
it names before it is forwarded: between a look at the leases and a removal nothing else happens.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.gateway.pushes import Pushes, TagPushed
    from registry.gateway.storage import Storage

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Collected:
    """What one collection did."""

    manifests: int = 0
    """Untagged manifests removed from their repositories."""
    blobs: int = 0
    """Blobs whose bytes were removed, manifests among them."""
    size: int = 0
    """Bytes of those blobs."""
    protected: int = 0
    """Manifests and blobs without a reference that were left to a push under way."""


@dataclass(slots=True)
class _Repository:
    """What a collection knows of one repository."""

    kept: set[str] = field(default_factory=set)
    """Manifests and blobs that a tag or a push under way leads to."""
    manifests: list[str] = field(default_factory=list)
    """Manifests nothing leads to, each list before its members."""
    layers: list[str] = field(default_factory=list)
    """Linked blobs, whether anything leads to them or not."""
    untagged: int = 0
    """Manifests that only a push under way leads to."""


class Collector:
    """Removes what nothing refers to, when asked and now and then."""

    def __init__(self, storage: Storage, pushes: Pushes, every: float) -> None:
        self._storage = storage
        self._pushes = pushes
        self._every = every
        """Seconds between collections that nobody asked for."""
        self._asked = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        pushes.on_tag.append(self._tag_pushed)

    async def delete_tag(self, repository: str, tag: str) -> bool:
        """Delete one tag, whatever else refers to its manifest; False if there is none."""
        async with self._pushes.exclusive(repository):
            removed = self._storage.remove_tag(repository, tag)
        self.ask()
        return removed

    async def delete_repository(self, repository: str) -> None:
        """Delete a repository with all that is in it."""
        async with self._pushes.exclusive(repository):
            self._storage.remove_repository(repository)
        self.ask()

    def ask(self) -> None:
        """Have a collection run in the background, soon."""
        self._asked.set()

    async def run(self) -> None:
        """Collect whenever asked, when protection has ended, and now and then; never return."""
        pause = self._every
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), pause)
            self._asked.clear()
            try:
                collected = await self.collect()
            except OSError:
                log.exception("Garbage collection could not read or remove a file; it will retry.")
                pause = self._every
            else:
                pause = min(self._pushes.quiet, self._every) if collected.protected else self._every

    def _tag_pushed(self, pushed: TagPushed) -> None:
        if pushed.previous is not None:
            self.ask()

    async def collect(self) -> Collected:
        """Remove all that neither a tag nor a push under way leads to."""
        async with self._one_at_a_time:
            collected = Collected()
            self._pushes.expire()
            found = await asyncio.to_thread(self._mark, self._pushes.leased())
            for name, repository in found.items():
                collected.protected += repository.untagged
                await self._remove_manifests(name, repository, collected)
                await self._remove_layers(name, repository, collected)
            await self._remove_blobs(collected)
            await asyncio.to_thread(self._storage.empty_trash)
        log.info("%s", collected)
        return collected

    def _mark(self, leased: frozenset[str]) -> dict[str, _Repository]:
        return {name: self._look_at(name, leased) for name in self._storage.repositories()}

    def _look_at(self, name: str, leased: frozenset[str]) -> _Repository:
        # What arrives after these two lists were read is not in them, hence not removed; and what
        # the tags read last lead to was leased by the push that moved them.
        revisions = self._storage.revisions(name)
        found = _Repository(layers=self._storage.layers(name))
        for tag in self._storage.tags(name):
            found.kept |= self._closure(tag.digest)
        for digest in leased.intersection(revisions) - found.kept:
            found.kept |= self._closure(digest)
            found.untagged += 1
        found.kept |= self._storage.aliased(name)
        members: dict[str, set[str]] = defaultdict(set)
        for digest in revisions:
            if digest not in found.kept:
                members[digest] |= set()
                for member in self._storage.manifest(digest).manifests:
                    members[member.digest].add(digest)
        found.manifests = [
            digest
            for digest in TopologicalSorter(members).static_order()
            if digest in revisions and digest not in found.kept
        ]
        return found

    def _closure(self, digest: str) -> set[str]:
        closure = {digest}
        for manifest_digest, manifest in self._storage.reachable(digest):
            closure |= {manifest_digest, *manifest.named}
        return closure

    async def _remove_manifests(
        self, name: str, repository: _Repository, collected: Collected
    ) -> None:
        for digest in repository.manifests:
            await asyncio.sleep(0)
            if digest in repository.kept:
                continue
            if self._pushes.protects(digest):
                # A client was told that it is there, and so are the things it names: a list comes
                # before its members here.
                repository.kept |= self._closure(digest)
                collected.protected += 1
            elif self._storage.remove_revision(name, digest):
                collected.manifests += 1

    async def _remove_layers(
        self, name: str, repository: _Repository, collected: Collected
    ) -> None:
        for digest in repository.layers:
            await asyncio.sleep(0)
            if digest in repository.kept:
                continue
            if self._pushes.protects(digest):
                collected.protected += 1
            else:
                self._storage.remove_layer(name, digest)

    async def _remove_blobs(self, collected: Collected) -> None:
        for digest in await asyncio.to_thread(self._unlinked):
            await asyncio.sleep(0)
            if self._pushes.protects(digest):
                collected.protected += 1
                continue
            size = self._storage.size(digest)
            if self._storage.remove_blob(digest):
                collected.blobs += 1
                collected.size += size

    def _unlinked(self) -> list[str]:
        stored = list(self._storage.blobs())
        linked: set[str] = set()
        for name in self._storage.repositories():
            linked.update(self._storage.revisions(name), self._storage.layers(name))
        return [digest for digest in stored if digest not in linked]
