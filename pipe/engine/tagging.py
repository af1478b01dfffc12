"""The target's tag in the Engine while the Engine pushes, and the tags as they were before put back.

An Engine pushes an image only by the target's name, so the pipe must point that tag to the image. Two things can go
wrong. Another pipe may do the same with another image at the same time, and a killed pipe cannot put anything back.
Therefore a run first adds a second tag to its image, a *marker*: `pipe-<key>-<original>-<run>-<time>`.

- `key` stands for the target's tag, and `original` for the image that it named before. A run that finds a marker on
  the image that the target's tag names copies its `original`; the last run to leave restores it. A run that leaves
  adds `-leaving` to its marker first: of two that leave at once, each would otherwise rely on the other.
- `run` and `time` show whether the run is alive. A process ID means nothing in another container, and a host name
  nothing in another Engine's network, so runs only compare times, by the Engine's clock. A push may take hours, so no
  age of a push proves that its run is dead: a run *renews* its marker every `BEAT` seconds, and one without a renewal
  for `DEAD_AFTER` seconds is dead. If that is wrong (the machine was suspended), nothing breaks: the Engine resolves
  the tag when the push begins, and the registry's manifest is compared with the image at the end.
- Every run begins by undoing what dead runs left in its repository. A run that follows a killed one within
  `DEAD_AFTER` seconds takes it for alive: it works beside it, and a later run cleans up.

A tag that the pipe adds needs a marker as much as one that it moves, or later runs could not distinguish it from a
user's. Only if the target's tag names the image already, and no other pipe is at work on it, nothing is set at all.
"""

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import replace

import requests
from docker import APIClient
from docker.errors import APIError, DockerException

from pipe.engine.marker import BEAT, Marker, key_of
from pipe.engine.tags import Tags
from pipe.errors import StoppedError
from pipe.oci.image import Image
from pipe.oci.reference import Reference
from pipe.text import root_cause

CLOSING_TIMEOUT = 1
"""Seconds for each request that puts tags back after a signal: a stopped step has two seconds to end."""
_ERRORS = (DockerException, requests.RequestException, OSError, ValueError)


class Tag:
    """The target's tag on an image, for a while."""

    def __init__(
        self,
        connect: Callable[[], APIClient],
        image: Image,
        target: Reference,
        warn: Callable[[str], None],
        clock: Callable[[], int],
    ) -> None:
        """Store what to do; nothing is set yet.

        Args:
            connect: Makes a client of the Engine; it is called once for each of two threads.
            image: The image to tag.
            target: A reference with a tag.
            warn: Logs what could not be put back.
            clock: Returns Unix seconds by the Engine's clock.
        """
        self._api = connect()
        self._connect = connect
        self._tags = Tags(self._api, target.repository)
        self._image = image
        self._target = target
        self._warn = warn
        self._clock = clock
        self._marker: Marker | None = None
        self._stopped = threading.Event()
        self._renewal = threading.Thread(target=self._renew, name="marker", daemon=True)

    @contextmanager
    def applied(self, translated: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
        """Keep the tag on the image until the context ends; `translated` translates the SDK's errors."""
        try:
            with translated():
                self._take()
            yield
        except StoppedError:
            self._api.timeout = CLOSING_TIMEOUT
            raise
        finally:
            try:
                self._put_back()
            except StoppedError:
                # Interrupted half-way; further signals are ignored.
                self._api.timeout = CLOSING_TIMEOUT
                self._put_back()
                raise
            finally:
                self._api.close()

    def _take(self) -> None:
        with suppress(*_ERRORS):
            # Leftovers of others must not fail this push.
            self._tags.sweep(self._clock(), self._warn)
        before, marked = self._found()
        if before == self._image.id and marked is None:
            return
        original = marked.original if marked else before
        self._marker = Marker(key_of(self._target.tag), original, secrets.token_hex(4), self._clock())
        self._tags.set(self._image.id, str(self._marker))
        self._tags.set(self._image.id, self._target.tag)
        self._renewal.start()

    def _found(self) -> tuple[str, Marker | None]:
        """Return the image that the target's tag names, "" if there is none, and the marker of another run for it.

        A containerd store removes a tag before it sets it anew, so another run may be moving a tag that is missing.
        Then that run has a marker; or it has left by now, and the tag is there.
        """
        key = key_of(self._target.tag)
        before, markers = self._tags.image_of(self._target.tag)
        if not before:
            with suppress(*_ERRORS):
                markers = [each for each in self._tags.all_markers() if not each.is_dead(self._clock())]
            if not any(each.key == key for each in markers):
                before, markers = self._tags.image_of(self._target.tag)
        return before, next((each for each in markers if each.key == key), None)

    def _renew(self) -> None:
        """Replace the marker by a newer one, again and again."""
        with suppress(*_ERRORS), closing(self._connect()) as api:
            tags = Tags(api, self._target.repository)
            while self._marker and not self._stopped.wait(BEAT):
                newer = replace(self._marker, at=self._clock())
                with suppress(*_ERRORS):
                    tags.set(self._image.id, str(newer))
                    if newer != self._marker:
                        tags.remove(str(self._marker))
                    self._marker = newer

    def _put_back(self) -> None:
        """Undo the tags; a failure to do so does not fail the push."""
        if self._marker is None:
            return
        self._stopped.set()
        if self._renewal.is_alive():
            # One that still waits for the Engine may leave a marker, which the next run removes.
            self._renewal.join(CLOSING_TIMEOUT)
        try:
            leaving = replace(self._marker, at=self._clock(), leaving=True)
            with suppress(APIError):
                # An Engine that sets no more tags (its disk is full, or the image is gone) may still remove some.
                self._tags.set(self._image.id, str(leaving))
                self._tags.remove(str(self._marker))
            kept = {self._restore_if_last(leaving)}
            for marker in self._tags.markers(self._image.id):
                if marker.run == leaving.run:
                    kept.add(self._tags.drop(self._image.id, marker))
            for tag in kept - {""}:
                self._warn(
                    f"The image keeps the tag {self._target.with_tag(tag)} in Docker Engine: it is the image's only"
                    " tag; removing it would delete the image."
                )
        except _ERRORS as error:
            self._warn(
                f"Docker Engine's tag {self._target} could not be restored ({root_cause(error)}). That tag and a"
                " pipe-… tag may be left behind; a later push to this repository through this Engine removes them."
            )

    def _restore_if_last(self, ours: Marker) -> str:
        """Restore the target's tag unless another run needs it; return it if it must stay on the image."""
        named, markers = self._tags.image_of(self._target.tag)
        others = [each for each in markers if each.key == ours.key and each.run != ours.run]
        is_last = named == self._image.id and all(each.leaving or each.is_dead(ours.at) for each in others)
        if is_last and not self._tags.give_back(named, self._target.tag, ours.original):
            return self._target.tag
        return ""
