"""The step's Docker Engine: the only place that uses the Docker SDK, and that translates its errors."""

import difflib
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import requests
from docker import APIClient
from docker.constants import DEFAULT_DOCKER_API_VERSION
from docker.errors import APIError, DockerException, ImageNotFound, TLSParameterError
from docker.utils import kwargs_from_env

from pipe.config.settings import Credentials
from pipe.engine import events
from pipe.engine.history import image_from
from pipe.errors import EngineError, EngineUnreachableError, ImageNotFoundError
from pipe.oci.image import Image
from pipe.oci.reference import Reference
from pipe.text import clean, root_cause

TIMEOUT = 30
"""Seconds for an answer to a small question; a push itself has no such limit, since a large layer's
commit is silent for long."""
CLOSING_TIMEOUT = 1
"""Seconds for putting tags back: a step that is stopped has two to end."""
ALIVE_TIMEOUT = 3
"""Seconds for telling whether an Engine that broke off a push is still there."""


class Engine:
    """A connection to the Docker Engine."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Prepare; the first question connects.

        Args:
            environment: `DOCKER_HOST`, `DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH`, each as Docker has it.
        """
        self._host = environment.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        self._environment = dict(environment)

    @cached_property
    def _api(self) -> APIClient:
        # The SDK's own look at the version would come before the proxy is ruled out.
        answer = self._connect(DEFAULT_DOCKER_API_VERSION, TIMEOUT).version(api_version=False)
        try:
            return self._connect(str(answer["ApiVersion"]), TIMEOUT)
        except (KeyError, TypeError):
            raise DockerException("what answers there is no Docker Engine") from None

    def _connect(self, version: str, timeout: int | None) -> APIClient:
        arguments: Any = kwargs_from_env(environment=self._environment)
        api = APIClient(version=version, timeout=timeout, **arguments)  # type: ignore[arg-type]
        # A proxy is meant for the registry; the Engine is this step's own.
        api.trust_env = False
        return api

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except APIError as error:
            explanation = clean(str(error.explanation or error))
            raise EngineError(explanation, fix="Run the step again; if it lasts, look at the Engine's log.") from error
        except TLSParameterError as error:
            raise EngineUnreachableError(
                clean(str(error)), fix="Check DOCKER_TLS_VERIFY and DOCKER_CERT_PATH."
            ) from error
        except (DockerException, requests.RequestException, OSError, ValueError) as error:
            raise self._unreachable(root_cause(error)) from error

    def _unreachable(self, cause: str) -> EngineUnreachableError:
        return EngineUnreachableError(
            f"{clean(self._host)}: {cause}",
            fix="In a pipeline, add `docker` to the step's `services`. Elsewhere, start Docker Engine and mount its"
            " socket (-v /var/run/docker.sock:/var/run/docker.sock) or set DOCKER_HOST.",
        )

    def image(self, name: str) -> Image:
        """Find an image.

        Args:
            name: Any name that the Engine knows.

        Returns:
            What the Engine knows of it.

        Raises:
            ImageNotFoundError: There is none; the closest local names are in the error.
            EngineError: The Engine reports another error.
            EngineUnreachableError: The Engine does not answer.
        """
        with self._translated():
            try:
                inspected = self._api.inspect_image(name)
            except ImageNotFound as error:
                raise self._not_found(name) from error
            return image_from(inspected, self._api.history(inspected["Id"]))

    def _not_found(self, name: str) -> ImageNotFoundError:
        tags = {tag for image in self._api.images() for tag in image.get("RepoTags") or []}
        there = sorted(tag for tag in tags if "<none>" not in tag)
        wanted = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
        close = difflib.get_close_matches(wanted, there, n=3, cutoff=0.5)
        same = [tag for tag in there if tag.rpartition(":")[0] == wanted.rpartition(":")[0]]
        names = list(dict.fromkeys([*same, *close]))[:5]
        known = f" The closest that are: {', '.join(names)}." if names else " It has no image with a similar name."
        return ImageNotFoundError(
            f"no image '{name}' in {clean(self._host)}.{known if there else ' It has no images.'}",
            fix="Build it in this step before the pipe: images do not pass from step to step.",
        )

    @contextmanager
    def tagged(self, image: Image, target: Reference) -> Iterator[None]:
        """Give an image the target's name as long as the context lasts, then leave all tags as found.

        Args:
            image: The image.
            target: A reference with a tag.

        Raises:
            EngineError: The Engine cannot set the tag.
            EngineUnreachableError: The Engine does not answer.
        """
        with self._translated():
            before = self._identity(target)
            # Removing an image's only tag would remove the image.
            named = bool(self._api.inspect_image(image.id).get("RepoTags"))
            if before != image.id:
                self._api.tag(image.id, target.repository, target.tag)
        try:
            yield
        finally:
            if before != image.id and (before or named):
                self._put_back(target, before)

    def _identity(self, target: Reference) -> str | None:
        try:
            return str(self._api.inspect_image(str(target))["Id"])
        except ImageNotFound:
            return None

    def _put_back(self, target: Reference, before: str | None) -> None:
        """Undo the tag; what cannot be undone in an Engine that is gone is no failure of the push."""
        try:
            self._api.timeout = CLOSING_TIMEOUT
            if before:
                self._api.tag(before, target.repository, target.tag)
            else:
                self._api.remove_image(str(target), noprune=True)
        except (DockerException, requests.RequestException, OSError):
            pass
        finally:
            self._api.timeout = TIMEOUT

    def push(self, target: Reference, credentials: Credentials) -> "PushStream":
        """Begin a push.

        Args:
            target: A reference with a tag, which the Engine has.
            credentials: Sent along with this push only; nothing is written to disk.

        Returns:
            What happens, event by event.
        """
        api = self._connect(self._api.api_version, None)
        return PushStream(api, target, credentials)

    def alive(self) -> bool:
        """Tell whether the Engine answers."""
        api = self._connect(self._api.api_version, ALIVE_TIMEOUT)
        try:
            return bool(api.ping())
        except (DockerException, requests.RequestException, OSError):
            return False

    def gone(self, cause: str) -> EngineUnreachableError:
        """Make the error for an Engine that was there before."""
        return EngineUnreachableError(
            f"{clean(self._host)}: {cause}",
            fix="It ended during the push. In a pipeline its service may have run out of memory: give it more"
            " (`definitions`, `services`, `docker`, `memory`), and run the step again.",
        )


class PushStream:
    """A push under way: events come from a thread of its own, so that clocks go on while it is silent."""

    def __init__(self, api: APIClient, target: Reference, credentials: Credentials) -> None:
        """Begin the push."""
        self._api = api
        self._events: queue.SimpleQueue[events.Event] = queue.SimpleQueue()
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
            return self._events.get(timeout=timeout)
        except queue.Empty:
            return None

    def close(self) -> None:
        """End the connection, upon which the Engine ends the push."""
        self._closed = True
        if self._response is None:
            return
        try:
            # Wakes the reading thread, which then closes the response; closing it from here would wait for the thread.
            self._response.raw.shutdown()
        except (OSError, ValueError, RuntimeError):
            self._response.close()
