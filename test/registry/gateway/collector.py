"""Garbage collection: what nothing refers to is removed while pushes go on beside it.

Distribution's own `garbage-collect` must not run beside a push, and with `--delete-untagged` it
takes the members of manifest lists away. This one marks in a thread what tags and pushes under way
lead to, and then removes the rest one by one in the event loop, where every request has leased what
it names before it is forwarded: between a look at the leases and a removal nothing else happens.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

from aiohttp import web

from registry.gateway.context import CONTEXT
from registry.gateway.storage import Storage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from registry.gateway.options import Options
    from registry.gateway.pushes import Guard, Pushes, TagPushed

log = logging.getLogger(__name__)
# Seconds between collections that nothing else started.
_EVERY = 3600.0


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
    young: int = 0
    """Manifests and blobs without a reference that came too short a time ago."""


@dataclass(frozen=True, slots=True)
class _Repository:
    """What a collection found in one repository."""

    manifests: list[str]
    """Manifests that no tag leads to, each list before its members."""
    layers: list[str]
    """Blobs that no tag leads to."""
    young: int
    """How many of either were left out since they are young."""


class Collector:
    """Removes what nothing refers to, when asked and now and then."""

    def __init__(self, storage: Storage, pushes: Pushes, options: Options) -> None:
        self._storage = storage
        self._pushes = pushes
        self._lease = options.lease
        # What a push named before a restart is in no lease any more; that it is young still shows.
        self._young = timedelta(seconds=options.young)
        self._asked = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        pushes.on_tag.append(self._tag_pushed)

    def ask(self) -> None:
        """Have a collection run in the background, soon."""
        self._asked.set()

    async def run(self) -> None:
        """Collect whenever asked, when protection may have ended, and now and then."""
        pause = _EVERY
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), pause)
            self._asked.clear()
            pause = _EVERY
            try:
                collected = await self.collect()
            except OSError:
                log.exception("Garbage collection could not read or remove a file; it will retry.")
            else:
                if collected.protected:
                    pause = min(self._lease, _EVERY)
                elif collected.young:
                    pause = min(self._young.total_seconds(), _EVERY)

    async def collect(self) -> Collected:
        """Remove all that neither a tag nor a push under way leads to."""
        async with self._one_at_a_time:
            collected = Collected()
            with self._pushes.guard(None) as guard:
                found = await asyncio.to_thread(self._mark)
                for name, repository in found.items():
                    collected.young += repository.young
                    await self._remove_manifests(name, repository, guard, collected)
                    await self._remove_layers(name, repository, guard, collected)
                await self._remove_blobs(guard, collected)
            await asyncio.to_thread(self._storage.empty_trash)
        log.info("%s", collected)
        return collected

    def _tag_pushed(self, event: TagPushed) -> None:
        if event.previous is not None:
            self.ask()

    def _mark(self) -> dict[str, _Repository]:
        young_since = datetime.now(UTC) - self._young
        return {name: self._look_at(name, young_since) for name in self._storage.repositories()}

    def _look_at(self, name: str, young_since: datetime) -> _Repository:
        # What arrives after these two lists were read is not in them, hence not removed; and what
        # the tags read after them lead to is either in `tagged` or leased by the push that moved
        # the tag.
        manifests, layers = self._storage.revisions(name), self._storage.layers(name)
        tagged = self._storage.aliased(name)
        for tag in self._storage.tags(name):
            for digest, manifest in self._storage.reachable(tag.digest):
                tagged |= {digest, *manifest.named}
        kept = {digest for digest in manifests if _is_young(self._storage.revision_changed(name, digest), young_since)}
        kept |= {digest for digest in layers if _is_young(self._storage.layer_changed(name, digest), young_since)}
        kept -= tagged
        for root in kept & set(manifests):
            for digest, manifest in self._storage.reachable(root):
                tagged |= {digest, *manifest.named}
        tagged |= kept
        untagged = set(manifests) - tagged
        lists: dict[str, set[str]] = {digest: set() for digest in untagged}
        for digest in untagged:
            for member in untagged.intersection(self._storage.manifest(digest).named):
                lists[member].add(digest)
        return _Repository(
            manifests=list(TopologicalSorter(lists).static_order()),
            layers=[digest for digest in layers if digest not in tagged],
            young=len(kept),
        )

    async def _remove_manifests(self, name: str, found: _Repository, guard: Guard, collected: Collected) -> None:
        # A list goes before its members: while it is there, a client that is told of it may count
        # on them.
        for digest in found.manifests:
            await asyncio.sleep(0)
            if guard.protects(digest):
                collected.protected += 1
            elif self._storage.remove_revision(name, digest):
                collected.manifests += 1

    async def _remove_layers(self, name: str, found: _Repository, guard: Guard, collected: Collected) -> None:
        for digest in found.layers:
            await asyncio.sleep(0)
            if guard.protects(digest):
                collected.protected += 1
            else:
                self._storage.remove_layer(name, digest)

    async def _remove_blobs(self, guard: Guard, collected: Collected) -> None:
        unlinked, young = await asyncio.to_thread(self._unlinked)
        collected.young += young
        for digest in unlinked:
            await asyncio.sleep(0)
            if guard.protects(digest):
                collected.protected += 1
                continue
            size = self._storage.size(digest)
            if self._storage.remove_blob(digest):
                collected.blobs += 1
                collected.size += size

    def _unlinked(self) -> tuple[list[str], int]:
        """Return the blobs that no repository has, and how many more are young."""
        stored = self._storage.blobs()
        linked: set[str] = set()
        for name in self._storage.repositories():
            linked.update(self._storage.revisions(name), self._storage.layers(name))
        young_since = datetime.now(UTC) - self._young
        unlinked = [digest for digest in stored if digest not in linked]
        old = [digest for digest in unlinked if not _is_young(self._storage.blob_changed(digest), young_since)]
        return old, len(unlinked) - len(old)


def _is_young(changed: datetime | None, since: datetime) -> bool:
    return changed is not None and changed > since


COLLECTOR: web.AppKey[Collector] = web.AppKey("collector", Collector)


def add_to(app: web.Application) -> None:
    """Have the application collect garbage in the background."""
    context = app[CONTEXT]
    collector = Collector(Storage(context.storage), context.pushes, context.options)
    app[COLLECTOR] = collector

    async def background(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(collector.run())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    app.cleanup_ctx.append(background)
