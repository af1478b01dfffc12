"""The step's Docker Engine: the only place that uses the Docker SDK, and that translates its errors."""

import difflib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import Any
from urllib.parse import quote

import requests
from docker import APIClient
from docker.constants import DEFAULT_DOCKER_API_VERSION
from docker.errors import APIError, DockerException, ImageNotFound, TLSParameterError
from docker.utils import kwargs_from_env

from pipe.config.settings import Credentials
from pipe.engine.history import image_from
from pipe.engine.kind import EngineKind
from pipe.engine.save import SaveStream
from pipe.engine.stream import PushStream
from pipe.engine.tagging import Tag
from pipe.errors import EngineError, EngineUnreachableError, ImageNotFoundError
from pipe.oci.image import Image
from pipe.oci.manifest import DOCKER_LIST, OCI_INDEX
from pipe.oci.reference import Reference
from pipe.text import causes, clean, root_cause

TIMEOUT = 30
"""Seconds for an answer to a small question; a push itself has no such limit, since a large layer's
commit is silent for long."""
ALIVE_TIMEOUT = 3
"""Seconds for telling whether an Engine that broke off a push is still there."""


class Engine:
    """A connection to the Docker Engine."""

    def __init__(self, environment: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        """Store the address; the first request connects.

        Args:
            environment: `DOCKER_HOST`, `DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH` as the docker command reads them.
            clock: Returns monotonic seconds, by which events are stamped.
        """
        self._clock = clock
        self._host = environment.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        self._environment = dict(environment)

    @cached_property
    def _version(self) -> Mapping[str, Any]:
        # The SDK's own look at the version would come before the proxy is ruled out.
        return self._connect(DEFAULT_DOCKER_API_VERSION, TIMEOUT).version(api_version=False)

    @cached_property
    def _api(self) -> APIClient:
        try:
            return self._connect(str(self._version["ApiVersion"]), TIMEOUT)
        except (KeyError, TypeError):
            raise DockerException("whatever answers there is not Docker Engine") from None

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
            raise EngineError(
                explanation, fix="Run the step again. If it fails again, look at the Engine's log."
            ) from error
        except TLSParameterError as error:
            raise EngineUnreachableError(
                clean(str(error)), fix="Check DOCKER_TLS_VERIFY and DOCKER_CERT_PATH."
            ) from error
        except (DockerException, requests.RequestException, OSError, ValueError) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> EngineUnreachableError:
        if any(isinstance(cause, PermissionError) for cause in causes(error)):
            return EngineUnreachableError(
                f"{clean(self._host)}: {root_cause(error)}",
                fix="Docker Engine is there, but this user may not use its socket: run the pipe as root, or as a member"
                " of the socket's group (`docker run --group-add`).",
            )
        return EngineUnreachableError(
            f"{clean(self._host)}: {root_cause(error)}",
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
            return image_from(inspected | self._manifests(inspected), self._api.history(inspected["Id"]))

    def _manifests(self, inspected: Mapping[str, Any]) -> dict[str, object]:
        """Ask what an index names, and what of it is there: an Engine that has a part of it pushes only that.

        Source: Docker Engine API 1.48, "Inspect an image", `manifests`; moby, `api/types/auxprogress/push.go`.
        """
        if (inspected.get("Descriptor") or {}).get("mediaType") not in {OCI_INDEX, DOCKER_LIST}:
            return {}
        url = f"{self._api.base_url}/v{self._api.api_version}/images/{quote(inspected['Id'], safe='')}/json"
        answer = self._api.get(url, params={"manifests": "1"}, timeout=TIMEOUT)
        content = answer.json() if answer.status_code == requests.codes.ok else {}
        return {"Manifests": content.get("Manifests")}

    def _not_found(self, name: str) -> ImageNotFoundError:
        tags = {tag for image in self._api.images() for tag in image.get("RepoTags") or []}
        there = sorted(tag for tag in tags if "<none>" not in tag)
        wanted = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
        close = difflib.get_close_matches(wanted, there, n=3, cutoff=0.5)
        same = [tag for tag in there if tag.rpartition(":")[0] == wanted.rpartition(":")[0]]
        names = list(dict.fromkeys([*same, *close]))[:5]
        known = f" The closest names are: {', '.join(names)}." if names else " It has no image with a similar name."
        return ImageNotFoundError(
            f"no image '{name}' in {clean(self._host)}.{known if there else ' It has no images.'}",
            fix="Build it in this step before the pipe: images do not pass from step to step.",
        )

    def tagged(self, image: Image, target: Reference, tell: Callable[[str], None]) -> AbstractContextManager[None]:
        """Give an image the target's name as long as the context lasts, then leave all tags as found.

        Args:
            image: The image.
            target: A reference with a tag.
            tell: Is told what could not be put back.

        Returns:
            The context.

        Raises:
            EngineError: The Engine cannot set the tag.
            EngineUnreachableError: The Engine does not answer.
        """
        return Tag(self._api, image, target, tell).applied(self._translated)

    def kind(self) -> EngineKind:
        """Tell what decides how fast the Engine pushes.

        Returns:
            What is known of it; nothing where it does not say.
        """
        try:
            version, info = self._version, self._api.info()
        except (DockerException, requests.RequestException, OSError, ValueError):
            return EngineKind()
        store = str(info.get("DriverStatus") or "")
        return EngineKind(
            version=str(version.get("Version") or ""),
            go_version=str(version.get("GoVersion") or ""),
            cpus=info["NCPU"] if isinstance(info.get("NCPU"), int) else 0,
            containerd="io.containerd.snapshotter" in store,
        )

    def saved(self, image: Image) -> SaveStream:
        """Stream an image.

        Args:
            image: The image.

        Returns:
            Its bytes, a tar archive.
        """
        return SaveStream(self._connect(self._api.api_version, None), image.id)

    def push(self, target: Reference, credentials: Credentials) -> PushStream:
        """Begin a push.

        Args:
            target: A reference with a tag, which the Engine has.
            credentials: Sent along with this push only; nothing is written to disk.

        Returns:
            What happens, event by event.
        """
        api = self._connect(self._api.api_version, None)
        return PushStream(api, target, credentials, self._clock)

    def alive(self) -> bool:
        """Tell whether the Engine answers."""
        try:
            return bool(self._connect(self._api.api_version, ALIVE_TIMEOUT).ping())
        except (DockerException, requests.RequestException, OSError):
            return False

    def gone(self, cause: str) -> EngineUnreachableError:
        """Make the error for an Engine that was there before."""
        return EngineUnreachableError(
            f"{clean(self._host)}: {cause}",
            fix="It ended during the push. In a pipeline its service may have run out of memory: give it more"
            " (`definitions`, `services`, `docker`, `memory`), and run the step again.",
        )
