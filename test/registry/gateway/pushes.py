"""The pushes under way: what their clients may count on, so that collection leaves it alone."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from .manifests import DIGEST, named_digests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator

    from .storage import Storage

LONGEST_PUSH = 24 * 3600.0
"""Seconds after which a lease ends even in a repository that is written to without a pause."""


@dataclass(frozen=True, slots=True)
class TagPushed:
    """A tag that now refers to what was just pushed."""

    repository: str
    tag: str
    digest: str
    previous: str | None
    """What it referred to before; None for a new tag."""


@dataclass(slots=True)
class ManifestPut:
    """A manifest on its way to Distribution."""

    digest: str
    accepted: bool = False
    """To be set when Distribution has answered 201."""


class Pushes:
    """Digests that requests have named, and for how long they stay protected.

    A registry tells a pushing client "this blob is there" long before the manifest that needs the
    blob arrives. So every request leases the digests it names *before* it is forwarded, and
    collection asks `protects` in the same breath as it removes: whichever comes first, no client
    is told that something is there which is then taken away.

    A lease lasts `quiet` seconds from the request that made it, or from the last write to the
    same repository, whichever is later: a push goes on as long as its repository is written to.
    A tagged manifest does not end it, since another push to that repository may have been told of
    the same blob.
    """

    def __init__(self, clock: Callable[[], float], quiet: float, storage: Storage) -> None:
        self.quiet = quiet
        """Seconds without a write after which a push counts as over."""
        self.on_tag: list[Callable[[TagPushed], None]] = []
        """Called in the event loop when a tag has been pushed."""
        self._clock = clock
        self._storage = storage
        self._leased: dict[str, dict[str, float]] = {}
        self._writing: dict[str, int] = {}
        self._written: dict[str, float] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @contextmanager
    def request(
        self, repository: str, digests: Collection[str], *, writes: bool
    ) -> Iterator[None]:
        """Lease `digests` for a request, to be open until it is answered."""
        self._lease(repository, digests)
        if writes:
            self._writing[repository] = self._writing.get(repository, 0) + 1
        try:
            yield
        finally:
            # A long transfer counts from its end.
            self._lease(repository, digests)
            if writes:
                self._writing[repository] -= 1
                self._written[repository] = self._clock()

    @asynccontextmanager
    async def manifest_put(
        self, repository: str, reference: str, body: bytes
    ) -> AsyncIterator[ManifestPut]:
        """Lease a manifest and all that it names while it is given to Distribution.

        `reference` is a tag or a digest. Whoever gave a tag to Distribution sets `accepted`.
        """
        put = ManifestPut(f"sha256:{hashlib.sha256(body).hexdigest()}")
        named = {put.digest, *named_digests(body)}
        with self.request(repository, named, writes=True):
            async with self.exclusive(repository):
                previous = self._storage.tag_digest(repository, reference)
                yield put
        if put.accepted and not DIGEST.fullmatch(reference):
            for listener in self.on_tag:
                listener(TagPushed(repository, reference, put.digest, previous))

    def exclusive(self, repository: str) -> asyncio.Lock:
        """Keep manifests from arriving in the folders that a deletion takes away, and back."""
        return self._locks.setdefault(repository, asyncio.Lock())

    def protects(self, digest: str) -> bool:
        """Tell whether a client may count on `digest`, in whichever repository."""
        return any(digest in leased for leased in self._leased.values())

    def leased(self) -> frozenset[str]:
        """All digests that clients may count on."""
        return frozenset(digest for leased in self._leased.values() for digest in leased)

    def expire(self) -> None:
        """Drop the leases that have run out.

        Nothing else drops one, so that a collection which expires them before it looks at
        anything, and not again, finds every later lease still there when it removes.
        """
        now = self._clock()
        for repository, leased in list(self._leased.items()):
            written = now if self._writing.get(repository) else self._written.get(repository, 0.0)
            for digest, named in list(leased.items()):
                if now - max(named, written) >= self.quiet or now - named >= LONGEST_PUSH:
                    del leased[digest]
            if not leased and not self._writing.get(repository):
                del self._leased[repository]
                self._writing.pop(repository, None)
                self._written.pop(repository, None)

    def _lease(self, repository: str, digests: Collection[str]) -> None:
        now = self._clock()
        self._leased.setdefault(repository, {}).update(dict.fromkeys(digests, now))
