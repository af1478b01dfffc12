"""A client of the step's Docker Engine, which translates the SDK's errors into the pipe's."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests
from docker import APIClient
from docker.constants import DEFAULT_DOCKER_API_VERSION
from docker.errors import APIError, DockerException, ImageNotFound, TLSParameterError
from docker.utils import kwargs_from_env

from pipe.config.settings import Credentials
from pipe.engine.api import Api
from pipe.engine.clock import EngineClock
from pipe.engine.history import image_from
from pipe.engine.kind import EngineKind
from pipe.engine.relatives import Relative, Relatives
from pipe.engine.save import SaveStream
from pipe.errors import EngineError, EngineUnreachableError, ImageNotFoundError
from pipe.oci.image import Image
from pipe.oci.manifest import DOCKER_LIST, OCI_INDEX
from pipe.oci.reference import Reference
from pipe.text import causes, clean, root_cause

if TYPE_CHECKING:
    from pipe.engine.stream import PushStream

TIMEOUT = 30
"""Seconds for the answer to a small request. A push has no such limit: the commit of a large layer is silent."""
ALIVE_TIMEOUT = 3
"""Seconds for a ping to an Engine whose push ended unexpectedly."""
HINT_TIMEOUT = 3
"""Seconds for the answer to a request that the push can do without."""
STAGED_AT_ONCE = 2
"""Images that the Engine stages ahead at the same time: each takes a core, which the first image needs for its layers.
"""

SIMILAR = 0.6
"""Similarity of two names from which one may be a typo of the other."""
SHOWN = 5
"""Names that a message lists."""


class Engine:
    """A connection to the Docker Engine; what only a push needs is loaded then."""

    def __init__(self, environment: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        """Store the address; the first request connects.

        Args:
            environment: `DOCKER_HOST`, `DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH` as the docker command reads them.
            clock: Returns monotonic seconds, by which events are stamped.
        """
        self._clock = clock
        self._host = environment.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        self._environment = dict(environment)
        self._staging = threading.Semaphore(STAGED_AT_ONCE)
        self._is_swept = False
        self._relatives = Relatives()

    @cached_property
    def _version(self) -> Mapping[str, Any]:
        # The SDK would request the version itself, before `trust_env` can be turned off.
        return self._connect(DEFAULT_DOCKER_API_VERSION, TIMEOUT).version(api_version=False)

    @cached_property
    def _api(self) -> APIClient:
        try:
            return self._connect(str(self._version["ApiVersion"]), TIMEOUT)
        except (KeyError, TypeError):
            raise DockerException("the server at this address is not Docker Engine") from None

    def _connect(self, version: str, timeout: int | None) -> APIClient:
        arguments: Any = kwargs_from_env(environment=self._environment)
        api = Api(version=version, timeout=timeout, **arguments)  # type: ignore[arg-type]
        # Proxies of the environment are for the registry.
        api.trust_env = False
        return api

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except APIError as error:
            explanation = clean(str(error.explanation or error))
            raise EngineError(
                explanation, fix="Run the step again. If it fails again, check the Engine's log."
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
                fix="Permission denied on Docker's socket: run the pipe as root, or as a member of the socket's group"
                " (`docker run --group-add`).",
            )
        return EngineUnreachableError(
            f"{clean(self._host)}: {root_cause(error)}",
            fix="In a pipeline, add `docker` to the step's `services`. Elsewhere, start Docker Engine and mount its"
            " socket (-v /var/run/docker.sock:/var/run/docker.sock) or set DOCKER_HOST.",
        )

    def image(self, name: str) -> Image:
        """Return an image by a name or an ID.

        Raises:
            ImageNotFoundError: There is none; the error contains the closest local names.
            EngineError: The Engine returned another error.
            EngineUnreachableError: The Engine does not answer.
        """
        with self._translated():
            try:
                inspected = self._api.inspect_image(name)
            except ImageNotFound as error:
                raise self._not_found(name) from error
            return image_from(inspected | self._manifests(inspected), self._api.history(inspected["Id"]))

    def _manifests(self, inspected: Mapping[str, Any]) -> dict[str, object]:
        """Return an index's manifests and which of them the Engine holds, since it pushes only those.

        Source: Docker Engine API 1.48, "Inspect an image", `manifests`; moby, `api/types/auxprogress/push.go`.
        """
        if (inspected.get("Descriptor") or {}).get("mediaType") not in {OCI_INDEX, DOCKER_LIST}:
            return {}
        url = f"{self._api.base_url}/v{self._api.api_version}/images/{quote(inspected['Id'], safe='')}/json"
        answer = self._api.get(url, params={"manifests": "1"}, timeout=TIMEOUT)
        content = answer.json() if answer.status_code == requests.codes.ok else None
        return {"Manifests": content.get("Manifests") if isinstance(content, dict) else None}

    def relatives(
        self, image: Image, is_candidate: Callable[[Relative], bool], pattern: str | None = None
    ) -> tuple[Relative, ...]:
        """Return other images that share a layer, none if the Engine fails; see `pipe.engine.relatives`."""
        # This may run in another thread.
        with (
            suppress(EngineError, EngineUnreachableError),
            self._translated(),
            closing(self._client(HINT_TIMEOUT)) as api,
        ):
            return self._relatives.of(api, image, is_candidate, pattern)
        return ()

    def _not_found(self, name: str) -> ImageNotFoundError:
        tags = {tag for image in self._api.images() or [] for tag in image.get("RepoTags") or []}
        there = sorted(tag for tag in tags if "<none>" not in tag)
        close = [(_similarity(name, tag), tag) for tag in there]
        names = [tag for similar, tag in sorted(close, key=lambda each: -each[0]) if similar >= SIMILAR][:SHOWN]
        known = f" The closest names are: {', '.join(names)}." if names else " It has no image with a similar name."
        return ImageNotFoundError(
            f"no image '{name}' in {clean(self._host)}.{known if there else ' It has no images.'}",
            fix="Build it in this step before the pipe: images are not shared between steps.",
        )

    def tagged(self, image: Image, target: Reference, warn: Callable[[str], None]) -> AbstractContextManager[None]:
        """Tag an image with the target until the context ends, then restore the Engine's tags or `warn`.

        Raises:
            EngineError: The Engine cannot set the tag.
            EngineUnreachableError: The Engine does not answer.
        """
        from pipe.engine.tagging import Tag  # noqa: PLC0415

        with self._translated():
            return Tag(self._client, image, target, warn, self._engine_clock).applied(self._translated)

    def sweep(self, target: Reference, warn: Callable[[str], None]) -> None:
        """Undo what killed runs left in the Engine: tags of the target's repository, and temporary images.

        `tagged` and `prefixes` do so as well; this is for a run that needs neither. A failure is ignored. Temporary
        images, which belong to no repository, are looked for once.
        """
        from pipe.engine.prefixes import remove_stale  # noqa: PLC0415
        from pipe.engine.tags import Tags  # noqa: PLC0415

        with suppress(EngineError, EngineUnreachableError), self._translated():
            Tags(self._api, target.repository).sweep(self._engine_clock(), warn)
            if not self._is_swept:
                self._is_swept = True
                remove_stale(self._api, self._engine_clock())

    def _client(self, timeout: int = TIMEOUT) -> APIClient:
        return self._connect(self._api.api_version, timeout)

    @cached_property
    def _engine_clock(self) -> EngineClock:
        return EngineClock(self._api, self._clock)

    def kind(self) -> EngineKind:
        """Return the properties that decide how fast the Engine pushes, as far as it reports them."""
        return self._kind

    @cached_property
    def _kind(self) -> EngineKind:
        # Some Engines take half a second for the answer.
        try:
            version, info = self._version, self._api.info() or {}
        except (DockerException, requests.RequestException, OSError, ValueError):
            return EngineKind()
        store = str(info.get("DriverStatus") or "")
        return EngineKind(
            version=str(version.get("Version") or ""),
            go_version=str(version.get("GoVersion") or ""),
            cpus=info["NCPU"] if isinstance(info.get("NCPU"), int) else 0,
            containerd="io.containerd.snapshotter" in store,
        )

    def saved(self, image: Image, *others: Image) -> SaveStream:
        """Return the stream of one or several images, a tar archive; the first read requests it."""
        api = self._connect(self._api.api_version, None)
        return SaveStream(api, image.id, self._staging, [each.id for each in others])

    def prefixes(
        self, image: Image, warn: Callable[[str], None], known: frozenset[str] = frozenset()
    ) -> AbstractContextManager[tuple[Image, ...]]:
        """Load temporary images of an image's first layers, which `saved` can stream; see `pipe.engine.prefixes`.

        They are removed when the context ends; `warn` logs one that could not be removed. None is loaded for layers
        that are `known`, by diffID.
        """
        from pipe.engine.prefixes import Prefixes  # noqa: PLC0415

        with self._translated():
            return Prefixes(self._client(), image, self._engine_clock, warn, known).loaded()

    def push(self, target: Reference, credentials: Credentials) -> "PushStream":
        """Start to push a tag that exists in the Engine; the credentials are not written to disk."""
        from pipe.engine.stream import PushStream  # noqa: PLC0415

        api = self._connect(self._api.api_version, None)
        return PushStream(api, target, credentials, self._clock)

    def alive(self) -> bool:
        """Return whether the Engine answers."""
        try:
            return bool(self._connect(self._api.api_version, ALIVE_TIMEOUT).ping())
        except (DockerException, requests.RequestException, OSError):
            return False

    def gone(self, cause: str) -> EngineUnreachableError:
        """Make the error for an Engine that answered before."""
        return EngineUnreachableError(
            f"{clean(self._host)}: {cause}",
            fix="Docker Engine stopped during the push. In a pipeline, its service may have run out of memory: give it"
            " more (`definitions`, `services`, `docker`, `memory`), and run the step again.",
        )


def _similarity(name: str, other: str) -> float:
    """Return how similar two names are without their tags, from 0 to 1, as a whole or in the last component."""
    from difflib import SequenceMatcher  # noqa: PLC0415 # needed only if there is no such image

    pairs = zip(_parts(name), _parts(other), strict=True)
    return max(SequenceMatcher(None, *pair).ratio() for pair in pairs)


def _parts(name: str) -> tuple[str, str]:
    """Return a name without its tag or digest, and its last component."""
    path, slash, last = name.partition("@")[0].rpartition("/")
    last = last.partition(":")[0]
    return f"{path}{slash}{last}", last
