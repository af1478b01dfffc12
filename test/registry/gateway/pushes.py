"""Which pushes are under way, and what a garbage collection must therefore leave alone.

A push names a blob (uploads it, mounts it, asks whether it is there) long before a manifest
references it. From that request on there is a *lease* on the blob's digest. All leases of a
repository end together, some time after the last sign of a push to it. None ends earlier, although
a manifest under a tag may seem to end a push: a second one may have been told meanwhile that the
same blob is there, and `docker push --all-tags` asks only once.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class TagPushed:
    """A manifest was put under a tag; `previous` is the digest the tag named before, if any."""

    repository: str
    tag: str
    digest: str
    previous: str | None


@dataclass(slots=True)
class Guard:
    """What pushes have held since the guard was opened; it grows while it is open, never shrinks."""

    workspace: str | None
    _digests: set[str] = field(default_factory=set)

    def protects(self, digest: str) -> bool:
        """Tell whether a push that is, or was, under way beside the guard needs `digest`."""
        return digest in self._digests

    def covers(self, repository: str) -> bool:
        """Tell whether `repository` lies in the guarded workspace (every one if None)."""
        return self.workspace is None or repository.startswith(f"{self.workspace}/")

    def add(self, *digests: str) -> None:
        """Protect `digests` from now on."""
        self._digests.update(digests)


@dataclass(slots=True)
class _Activity:
    """Signs of pushes to one repository: when the last was, and the digests they lease."""

    last: float
    open_uploads: int = 0
    leases: set[str] = field(default_factory=set)


class Pushes:
    """All pushes under way. Call it before a request is forwarded, so that nothing comes between."""

    def __init__(self, lease: float, clock: Callable[[], float]) -> None:
        """Keep leases for `lease` seconds of silence."""
        self.on_tag: list[Callable[[TagPushed], None]] = []
        self._lease = lease
        self._clock = clock
        self._repositories: dict[str, _Activity] = {}
        self._guards: list[Guard] = []
        self._locks: dict[str, asyncio.Lock] = {}

    def manifest_lock(self, repository: str) -> asyncio.Lock:
        """Return the lock held while Distribution writes a manifest, or a tag is removed."""
        return self._locks.setdefault(repository, asyncio.Lock())

    def lease(self, repository: str, *digests: str) -> None:
        """Lease blobs and manifests, all at once."""
        self._activity(repository).leases.update(digests)
        for guard in self._guards:
            if guard.covers(repository):
                guard.add(*digests)

    def tagged(self, event: TagPushed) -> None:
        """Tell everyone that a tag was pushed."""
        for notify in self.on_tag:
            notify(event)

    def open_uploads(self, repository: str) -> int:
        """Return how many uploads to a repository are open."""
        activity = self._repositories.get(repository)
        return activity.open_uploads if activity else 0

    def upload_opened(self, repository: str) -> None:
        """Count an upload that was opened."""
        self._activity(repository).open_uploads += 1

    def upload_closed(self, repository: str) -> None:
        """Count an upload as finished or ended."""
        self._activity(repository).open_uploads -= 1

    @contextlib.contextmanager
    def guard(self, workspace: str | None) -> Iterator[Guard]:
        """Open a guard over a workspace, or over all; open it before marking what is in use."""
        self._expire()
        guard = Guard(workspace)
        for repository, activity in self._repositories.items():
            if guard.covers(repository):
                guard.add(*activity.leases)
        self._guards.append(guard)
        try:
            yield guard
        finally:
            self._guards.remove(guard)

    def _activity(self, repository: str) -> _Activity:
        now = self._clock()
        activity = self._repositories.setdefault(repository, _Activity(now))
        activity.last = now
        return activity

    def _expire(self) -> None:
        oldest = self._clock() - self._lease
        self._repositories = {
            name: activity
            for name, activity in self._repositories.items()
            if activity.open_uploads or activity.last > oldest
        }
