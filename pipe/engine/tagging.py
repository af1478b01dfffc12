"""The Engine's own name for an image while it is pushed, and what was there before put back.

An Engine pushes only what has the target's name. Two pipes at once on one Engine share that name: each
marks its image, beside the name, with a second tag that says what the name stood for before the first of
them came. Who comes later reads it there, and the last one to leave puts everything back.
"""

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import requests
from docker import APIClient
from docker.errors import DockerException, ImageNotFound

from pipe.errors import StoppedError
from pipe.oci.image import Image
from pipe.oci.reference import Reference
from pipe.text import root_cause

CLOSING_TIMEOUT = 1
"""Seconds for each request that puts tags back after a signal: a step that is stopped has two to end."""
_NOTHING = "none"
_ERRORS = (DockerException, requests.RequestException, OSError)


class Tag:
    """The target's name, on loan."""

    def __init__(self, api: APIClient, image: Image, target: Reference, tell: Callable[[str], None]) -> None:
        """Prepare; nothing is set yet.

        Args:
            api: The Engine.
            image: Gets the name.
            target: The name, with a tag.
            tell: Is told what could not be put back.
        """
        self._api = api
        self._image = image
        self._target = target
        self._tell = tell
        key = hashlib.sha256(target.tag.encode()).hexdigest()[:12]
        self._prefix = f"pipe-{key}-"
        self._original: str | None = None
        self._marker = ""
        self._named = False

    @contextmanager
    def applied(self, translated: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
        """Keep the name as long as the context lasts.

        Args:
            translated: Turns the SDK's errors into the pipe's.
        """
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
                # Interrupted in the middle; further signals are ignored.
                self._api.timeout = CLOSING_TIMEOUT
                self._put_back()
                raise

    def _take(self) -> None:
        before = self._id(str(self._target))
        marked = self._marked(before) if before else None
        self._original = marked if marked is not None else before
        self._original = None if self._original == _NOTHING else self._original
        # Removing an image's only tag would remove the image.
        self._named = bool(self._names(self._image.id))
        if before == self._image.id and marked is None:
            return
        original = (self._original or _NOTHING).removeprefix("sha256:")
        self._marker = f"{self._prefix}{original}-{secrets.token_hex(4)}"
        self._api.tag(self._image.id, self._target.repository, self._marker)
        self._api.tag(self._image.id, self._target.repository, self._target.tag)

    def _put_back(self) -> None:
        """Undo the tags; what cannot be undone in an Engine that is gone is no failure of the push."""
        if not self._marker:
            return
        try:
            marker = str(self._target.with_tag(self._marker))
            now = self._id(str(self._target))
            others = now is not None and any(tag != self._marker for tag in self._markers(now))
            if now == self._image.id and not others:
                self._restore()
            if self._named or len(self._names(self._image.id)) > 1:
                self._remove(marker)
            else:
                self._keep(marker)
        except _ERRORS as error:
            self._tell(
                f"Docker Engine's tag {self._target} could not be restored ({root_cause(error)}); the image may keep"
                " that tag, and one that begins with pipe-."
            )

    def _restore(self) -> None:
        if self._original:
            self._api.tag(self._original, self._target.repository, self._target.tag)
        elif self._named:
            self._remove(str(self._target))
        else:
            self._keep(str(self._target))

    def _keep(self, name: str) -> None:
        self._tell(f"The image keeps the tag {name} in Docker Engine: it has no other, and would be removed with it.")

    def _remove(self, name: str) -> None:
        try:
            self._api.remove_image(name, noprune=True)
        except ImageNotFound:
            return

    def _id(self, name: str) -> str | None:
        try:
            return str(self._api.inspect_image(name)["Id"])
        except ImageNotFound:
            return None

    def _names(self, image: str) -> list[str]:
        try:
            return self._api.inspect_image(image).get("RepoTags") or []
        except ImageNotFound:
            return []

    def _markers(self, image: str) -> list[str]:
        """List the markers of this target that an image has."""
        pattern = re.compile(rf"{re.escape(self._target.repository)}:({re.escape(self._prefix)}.+)")
        return [match[1] for match in map(pattern.fullmatch, self._names(image)) if match]

    def _marked(self, image: str) -> str | None:
        """Return what a marker says that the name stood for: an ID, or that it stood for nothing."""
        for marker in self._markers(image):
            original = marker.removeprefix(self._prefix).rpartition("-")[0]
            return original if original == _NOTHING else f"sha256:{original}"
        return None
