"""Which pushes are under way, and what a garbage collection must therefore leave alone.

A push names a blob (uploads it, mounts it, asks whether it is there) long before a manifest
references it. From that request on the push holds a *lease* on the blob's digest. A lease ends when
the same push has put a tagged manifest that names the blob, or some time after the last sign of
life in that repository.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from registry.gateway.manifests import child_manifests, named_digests

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

    def add(self, digest: str) -> None:
        """Protect `digest` from now on."""
        self._digests.add(digest)


@dataclass(slots=True)
class _Activity:
    """Signs of life in one repository: its leases by digest, each with the pushes that hold it."""

    last: float
    open_uploads: int = 0
    leases: dict[str, set[str]] = field(default_factory=dict)


class Pushes:
    """All pushes under way. Call it before a request is forwarded, so that nothing comes between.

    A push is told from another by what it authenticates with: a client fetches a new token for
    each push, so the token's identifier serves.
    """

    def __init__(
        self, lease: float, clock: Callable[[], float], read: Callable[[str], bytes]
    ) -> None:
        """Keep leases for `lease` seconds of silence; `read` returns a stored manifest or b""."""
        self.on_tag: list[Callable[[TagPushed], None]] = []
        self._lease = lease
        self._clock = clock
        self._read = read
        self._repositories: dict[str, _Activity] = {}
        self._guards: list[Guard] = []

    def lease(self, repository: str, digest: str, push: str) -> None:
        """Let `push` hold a blob."""
        self._activity(repository).leases.setdefault(digest, set()).add(push)
        for guard in self._guards:
            if guard.covers(repository):
                guard.add(digest)

    def lease_manifest(self, repository: str, digest: str, push: str) -> None:
        """Let `push` hold a stored manifest and everything it names."""
        self.lease(repository, digest, push)
        self._lease_named(repository, self._read(digest), push)

    def put(self, repository: str, body: bytes, push: str) -> None:
        """Let `push` hold a manifest it is about to put, and everything that names."""
        self.lease(repository, _digest(body), push)
        self._lease_named(repository, body, push)

    def tagged(self, event: TagPushed, body: bytes, push: str) -> None:
        """End the leases of `push` on what its tagged manifest names, and tell everyone."""
        leases = self._activity(event.repository).leases
        for digest in self._everything(event.digest, body):
            holders = leases.get(digest, set())
            holders.discard(push)
            if not holders:
                leases.pop(digest, None)
        for notify in self.on_tag:
            notify(event)

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
                for digest in activity.leases:
                    guard.add(digest)
        self._guards.append(guard)
        try:
            yield guard
        finally:
            self._guards.remove(guard)

    def _lease_named(self, repository: str, body: bytes, push: str) -> None:
        for digest in named_digests(body):
            self.lease(repository, digest, push)
        for digest in child_manifests(body):
            self._lease_named(repository, self._read(digest), push)

    def _everything(self, digest: str, body: bytes) -> Iterator[str]:
        yield digest
        yield from named_digests(body)
        for child in child_manifests(body):
            yield from self._everything(child, self._read(child))

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


def _digest(body: bytes) -> str:
    return f"sha256:{sha256(body).hexdigest()}"
