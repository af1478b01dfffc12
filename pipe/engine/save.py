"""An image as the Engine streams it: `GET /images/{name}/get`, what `docker save` asks for."""

import contextlib
import threading
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any
from urllib.parse import quote

import requests
from docker import APIClient
from docker.errors import DockerException
from urllib3.exceptions import HTTPError

from pipe.engine.stream import end
from pipe.errors import EngineSaveError
from pipe.text import clean, root_cause

_NO_ROOM = ("no space left on device", "disk quota exceeded")


class SaveStream:
    """The bytes of an image, a tar archive; asked for with the first read, or before."""

    def __init__(self, api: APIClient, name: str) -> None:
        """Prepare; nothing is asked yet.

        Args:
            api: Without a time limit: an Engine with graphdrivers stages all of the image before it answers.
            name: Any name that the Engine knows.
        """
        self._api = api
        self._name = name
        self._response: requests.Response | None = None
        self._body: Any = None
        self._failure: EngineSaveError | None = None
        self._opening = threading.Lock()
        self._closed = False

    def begin(self) -> None:
        """Ask for the bytes in another thread, so that the Engine stages the image before somebody reads."""

        def ask() -> None:
            # What went wrong is for who reads.
            with contextlib.suppress(EngineSaveError):
                self._opened()

        threading.Thread(target=ask, name="save", daemon=True).start()

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer as far as there are bytes.

        Args:
            buffer: Takes the bytes.

        Returns:
            The number of bytes; 0 only at the end.

        Raises:
            EngineSaveError: The Engine cannot stream the image, or broke off.
        """
        body = self._opened()
        with self._translated():
            length: int = body.readinto(buffer)
        return length

    def _opened(self) -> Any:  # noqa: ANN401
        with self._opening:
            if self._failure is not None:
                # To http.client, a body that broke off is at its end.
                raise self._failure
            if self._body is None:
                with self._translated():
                    self._body = self._open()
            return self._body

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Keep what went wrong: it goes wrong for good."""
        try:
            yield
        except EngineSaveError as error:
            self._failure = error
            raise
        except (DockerException, requests.RequestException, HTTPError, HTTPException, OSError, ValueError) as error:
            self._failure = EngineSaveError(
                f"Docker Engine broke off streaming the image ({root_cause(error)}).",
                fix="Run the step again. If it fails again, look at the Engine's own log.",
                temporary=True,
            )
            raise self._failure from error

    def _open(self) -> Any:  # noqa: ANN401
        url = f"{self._api.base_url}/v{self._api.api_version}/images/{quote(self._name, safe='')}/get"
        response = self._response = self._api.get(url, stream=True)
        if self._closed:
            # Nobody waits any more, and the Engine need not go on.
            response.close()
        if response.status_code != requests.codes.ok:
            message = clean(_message(response))
            room = any(words in message for words in _NO_ROOM)
            raise EngineSaveError(
                f"Docker Engine cannot stream the image: {message}",
                fix="Free disk space for the docker service: it stages one more copy of the image."
                if room
                else "Look at the Engine's own log.",
            )
        # The bytes of the body without urllib3's buffers, which would copy each of them twice more.
        return getattr(response.raw, "_original_response", None) or response.raw

    def close(self) -> None:
        """End the connection, upon which the Engine ends the stream."""
        self._closed = True
        if self._response is not None:
            end(self._response)
        self._api.close()


def _message(response: requests.Response) -> str:
    try:
        return str(response.json()["message"])
    except (ValueError, LookupError, TypeError):
        return f"HTTP {response.status_code}"
