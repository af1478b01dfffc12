"""The stream of an image from Docker Engine: `GET /images/{name}/get`, which `docker save` requests."""

import contextlib
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from http.client import HTTPException
from typing import Any
from urllib.parse import quote

import requests
from docker import APIClient
from docker.errors import DockerException
from urllib3.exceptions import HTTPError

from pipe.errors import EngineSaveError, PipeError
from pipe.oci.image import Image
from pipe.text import clean, root_cause

_DISK_FULL = ("no space left on device", "disk quota exceeded")


class SaveStream:
    """The bytes of one or several images, a tar archive; the first read requests it, or `begin` before that.

    Attributes:
        others: None: only `pipe.source.shared_export` reads several images from one stream.
    """

    others: tuple[Image, ...] = ()

    def __init__(
        self,
        api: APIClient,
        name: str,
        turn: AbstractContextManager[object] | None = None,
        others: Sequence[str] = (),
    ) -> None:
        """Store what to request.

        Args:
            api: A client without a read timeout: a graphdriver Engine stages all images before it answers.
            name: Any name that the Engine knows.
            turn: Held while the Engine stages an image ahead.
            others: Names of further images; a layer that several have comes once.
        """
        self._api = api
        self._names = (name, *others)
        self._turn = turn or contextlib.nullcontext()
        self._response: requests.Response | None = None
        self._body: Any = None
        self._failure: PipeError | None = None
        self._opening = threading.Lock()
        self._closed = False

    def begin(self, *, ahead: bool = False) -> None:
        """Send the request from another thread, so that the Engine stages the image before it is read.

        Args:
            ahead: Whether it waits for its turn: the images before it are read first.
        """

        def request() -> None:
            # The first read raises the error, or requests the image again: those before it may have taken the space.
            with self._turn if ahead else contextlib.nullcontext(), contextlib.suppress(PipeError):
                if not self._closed:
                    self._opened(final=not ahead)

        threading.Thread(target=request, name="save", daemon=True).start()

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer and return the number of bytes, 0 only at the end.

        Raises:
            EngineSaveError: The Engine cannot stream the image, or stopped in the middle.
            ImageIncompleteError: The Engine's store lacks blobs of the image.
        """
        body = self._opened()
        with self._translated():
            length: int = body.readinto(buffer)
            if not length and len(buffer) and self._response is not None:
                # The reading thread may close it without waiting for itself.
                self._response.close()
        return length

    def _opened(self, *, final: bool = True) -> Any:  # noqa: ANN401
        with self._opening:
            if self._failure is not None:
                # http.client would report the end of an interrupted body.
                raise self._failure
            if self._body is None:
                try:
                    with self._translated():
                        self._body = self._open()
                finally:
                    self._failure = self._failure if final else None
            return self._body

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Translate errors, and keep the first one for all further reads."""
        try:
            yield
        except PipeError as error:
            self._failure = error
            raise
        except (DockerException, requests.RequestException, HTTPError, HTTPException, OSError, ValueError) as error:
            self._failure = EngineSaveError(
                f"Docker Engine closed the image stream unexpectedly ({root_cause(error)}).",
                fix="Run the step again. If it fails again, check the Engine's log.",
                temporary=True,
            )
            raise self._failure from error

    def _open(self) -> Any:  # noqa: ANN401
        first, *others = (quote(name, safe="") for name in self._names)
        what = f"get?names={'&names='.join((first, *others))}" if others else f"{first}/get"
        url = f"{self._api.base_url}/v{self._api.api_version}/images/{what}"
        response = self._response = self._api.get(url, stream=True)
        if self._closed:
            # The consumer has left, so the Engine can stop.
            response.close()
        if response.status_code != requests.codes.ok:
            raise _refused(clean(_message(response)))
        # Skips urllib3's buffers, which would copy each byte twice more.
        return getattr(response.raw, "_original_response", None) or response.raw

    def close(self) -> None:
        """Close the connection, which stops the Engine if it has begun to send."""
        self._closed = True
        if self._response is not None:
            end(self._response)
        self._api.close()


def end(response: requests.Response) -> None:
    """Shut down a response that another thread may be reading; `close()` would wait for that thread."""
    try:
        response.raw.shutdown()
    except (OSError, ValueError, RuntimeError):
        response.close()


def _refused(message: str) -> PipeError:
    from pipe.engine.diagnosis import MISSING_CONTENT, image_incomplete  # noqa: PLC0415

    if any(re.search(pattern, message) for pattern in MISSING_CONTENT):
        return image_incomplete(message)
    disk_full = any(words in message for words in _DISK_FULL)
    return EngineSaveError(
        f"Docker Engine cannot stream the image: {message}",
        fix="Free disk space for the docker service: exporting needs space for a second copy of the image."
        if disk_full
        else "Check the Engine's log.",
    )


def _message(response: requests.Response) -> str:
    try:
        return str(response.json()["message"])
    except (ValueError, LookupError, TypeError):
        return f"HTTP {response.status_code}"
