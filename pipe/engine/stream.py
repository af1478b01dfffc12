"""The event stream of a push by Docker Engine."""

import queue
import threading
from collections.abc import Callable

import requests
from docker import APIClient
from docker.errors import APIError, DockerException

from pipe.config.settings import Credentials
from pipe.engine import events
from pipe.engine.api import NoMessageError
from pipe.engine.diagnosis import engine_error
from pipe.engine.save import end
from pipe.oci.reference import Reference
from pipe.text import root_cause


class PushStream:
    """A running push whose events a separate thread reads and stamps, so that a slow consumer never ages them."""

    def __init__(self, api: APIClient, target: Reference, credentials: Credentials, clock: Callable[[], float]) -> None:
        """Start the push.

        Args:
            api: A client without a read timeout: the registry may take minutes to commit a layer.
            target: A reference with a tag that exists in the Engine.
            credentials: Sent with this request only.
            clock: Returns monotonic seconds.
        """
        self._api = api
        self._clock = clock
        self._events: queue.SimpleQueue[tuple[float, events.Event | BaseException]] = queue.SimpleQueue()
        self._response: requests.Response | None = None
        self._closed = False
        # The SDK's push() returns decoded lines only; close() needs the response itself.
        api.hooks["response"].append(self._keep_response)
        threading.Thread(target=self._read, args=(target, credentials), name="push", daemon=True).start()

    def _keep_response(self, response: requests.Response, **_: object) -> None:
        self._response = response
        if self._closed:
            response.close()

    def _read(self, target: Reference, credentials: Credentials) -> None:
        auth = {"username": credentials.username, "password": credentials.token}
        try:
            self._api.push(target.repository, target.tag, auth_config=auth, stream=True)
            if self._response is not None:
                for line in self._response.iter_lines(chunk_size=None):
                    self._put(events.parse(line))
            self._put(events.StreamEnded())
        except NoMessageError as error:
            # Nothing in it can be about the registry.
            self._put(engine_error(target, str(error.explanation)))
        except (DockerException, requests.RequestException, OSError, ValueError) as error:
            if isinstance(error, APIError):
                self._put(events.Failed(str(error.explanation or error)))
            self._put(events.StreamEnded(root_cause(error)))
        except BaseException as error:  # noqa: BLE001
            # A defect: raise it in the thread that consumes the stream.
            self._put(error)
        finally:
            if self._response is not None:
                self._response.close()

    def _put(self, event: events.Event | BaseException) -> None:
        self._events.put((self._clock(), event))

    def next(self, timeout: float) -> tuple[float, events.Event] | None:
        """Return the next event and the clock when it was read, None if none arrives within `timeout` seconds."""
        try:
            at, event = self._events.get(timeout=timeout)
        except queue.Empty:
            return None
        if isinstance(event, BaseException):
            raise event
        return at, event

    def close(self) -> None:
        """Close the connection, which cancels the push in the Engine."""
        self._closed = True
        if self._response is not None:
            end(self._response)
