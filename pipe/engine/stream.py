"""A push by the Engine under way, event by event."""

import queue
import threading

import requests
from docker import APIClient
from docker.errors import APIError, DockerException

from pipe.config.settings import Credentials
from pipe.engine import events
from pipe.oci.reference import Reference
from pipe.text import root_cause


class PushStream:
    """A push under way: events come from a thread of its own, so that clocks go on while it is silent."""

    def __init__(self, api: APIClient, target: Reference, credentials: Credentials) -> None:
        """Begin the push."""
        self._api = api
        self._events: queue.SimpleQueue[events.Event | BaseException] = queue.SimpleQueue()
        self._response: requests.Response | None = None
        self._closed = False
        # The SDK's push returns decoded lines only; closing needs the response itself.
        api.hooks["response"].append(self._answered)
        threading.Thread(target=self._read, args=(target, credentials), name="push", daemon=True).start()

    def _answered(self, response: requests.Response, **_: object) -> None:
        self._response = response
        if self._closed:
            response.close()

    def _read(self, target: Reference, credentials: Credentials) -> None:
        auth = {"username": credentials.username, "password": credentials.token}
        try:
            self._api.push(target.repository, target.tag, auth_config=auth, stream=True)
            if self._response is not None:
                for line in self._response.iter_lines(chunk_size=None):
                    self._events.put(events.parse(line))
            self._events.put(events.StreamEnded())
        except (DockerException, requests.RequestException, OSError, ValueError) as error:
            if isinstance(error, APIError):
                self._events.put(events.Failed(str(error.explanation or error)))
            self._events.put(events.StreamEnded(root_cause(error)))
        except BaseException as error:  # noqa: BLE001
            # Nobody foresaw it: it belongs to the thread that follows the push.
            self._events.put(error)
        finally:
            if self._response is not None:
                self._response.close()

    def next(self, timeout: float) -> events.Event | None:
        """Wait for the next event.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            The event; None where none came in time.
        """
        try:
            event = self._events.get(timeout=timeout)
        except queue.Empty:
            return None
        if isinstance(event, BaseException):
            raise event
        return event

    def close(self) -> None:
        """End the connection, upon which the Engine ends the push."""
        self._closed = True
        if self._response is not None:
            end(self._response)


def end(response: requests.Response) -> None:
    """End an answer that another thread may be reading.

    Args:
        response: The answer. The other thread finds its end; closing it from here would wait for that thread.
    """
    try:
        response.raw.shutdown()
    except (OSError, ValueError, RuntimeError):
        response.close()
