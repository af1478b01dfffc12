"""Temporary images of an image's first layers, so that their bytes flow while the Engine stages the rest.

An Engine with a graphdriver stages all of an image before `GET /images/{name}/get` returns a byte. It also accepts an
archive without layers (`POST /images/load`) if it has every layer already: it looks layers up by chain ID before it
opens their files (source: moby, `image/tarexport/load.go`). Such an image of the first layers takes no disk space, is
staged sooner, and its stream begins with the same layers.

The images have no tag, and a label with the time by the Engine's clock. A run that is killed leaves them behind; the
next one removes those that are older than `STALE` seconds. If it removes one that is still needed, its stream fails,
and the layers come with the stream of the whole image.
"""

import io
import json
import secrets
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import requests
from docker import APIClient
from docker.errors import DockerException, NotFound

from pipe.engine.staging import prefix_lengths
from pipe.engine.tagging import CLOSING_TIMEOUT
from pipe.errors import StoppedError
from pipe.oci.descriptor import Platform, digest_of
from pipe.oci.image import Image
from pipe.text import root_cause
from pipe.threads import Cancel, apart, wait

LABEL = "io.bitbucket.pipe.prefix"
STALE = 600
"""Seconds after which an image is a leftover: its stream has begun after seconds, and then needs it no more."""
_ERRORS = (DockerException, requests.RequestException, OSError, ValueError)


class Prefixes:
    """The temporary images of one image's first layers."""

    def __init__(
        self,
        api: APIClient,
        image: Image,
        clock: Callable[[], int],
        warn: Callable[[str], None],
        known: frozenset[str] = frozenset(),
    ) -> None:
        """Store what to do; nothing is loaded yet.

        Args:
            api: A client of the Engine, which is closed at the end.
            image: The whole image.
            clock: Returns Unix seconds by the Engine's clock.
            warn: Logs what could not be removed.
            known: DiffIDs of layers that need not come early.
        """
        self._api = api
        self._image = image
        self._clock = clock
        self._warn = warn
        self._known = known
        self._made: list[str] = []
        self._cancel = Cancel()
        self._loading = threading.Lock()

    @contextmanager
    def loaded(self) -> Iterator[tuple[Image, ...]]:
        """Yield the images, shortest first, none if the Engine refuses them; remove them when the context ends."""
        try:
            yield wait(apart(self._load))
        except StoppedError:
            self._api.timeout = CLOSING_TIMEOUT
            self._cancel.cancel()
            # An Engine completes what it loads, and has no image to remove before.
            self._loading.acquire(timeout=CLOSING_TIMEOUT)
            raise
        finally:
            try:
                self._remove()
            except StoppedError:
                # Interrupted half-way; further signals are ignored.
                self._api.timeout = CLOSING_TIMEOUT
                self._remove()
                raise
            finally:
                self._api.close()

    def _load(self) -> tuple[Image, ...]:
        layers = self._image.layers
        lengths = prefix_lengths([layer.size for layer in layers], [layer.diff_id in self._known for layer in layers])
        if not lengths:
            return ()
        try:
            with self._loading:
                remove_stale(self._api, self._clock())
                return tuple(self._load_one(length) for length in lengths)
        except _ERRORS:
            # The push goes on without them.
            return ()

    def _load_one(self, length: int) -> Image:
        self._cancel.check()
        layers = self._image.layers[:length]
        config = _config(
            [layer.diff_id for layer in layers], self._image.platform, f"{self._clock()}-{secrets.token_hex(4)}"
        )
        prefix = digest_of(config)
        # Noted before it is there: a signal may come in between.
        self._made.append(prefix)
        for _ in self._api.load_image(_archive(config, length)):
            pass
        # The Engine reports a refusal in several ways; only this proves that it took the image.
        self._api.inspect_image(prefix)
        return Image(prefix, sum(layer.size or 0 for layer in layers), layers, platform=self._image.platform)

    def _remove(self) -> None:
        while self._made:
            prefix = self._made[-1]
            try:
                _remove(self._api, prefix)
            except _ERRORS as error:
                self._warn(
                    f"The temporary image {prefix} could not be removed from Docker Engine ({root_cause(error)}); it"
                    " adds no layers, and a later run removes it."
                )
            self._made.pop()


def remove_stale(api: APIClient, now: int) -> None:
    """Remove the temporary images of killed runs."""
    for each in api.images(all=True, filters={"label": LABEL}) or []:
        made = str((each.get("Labels") or {}).get(LABEL, "")).partition("-")[0]
        if made.isdecimal() and now - int(made) > STALE:
            with suppress(*_ERRORS):
                _remove(api, str(each["Id"]))


def _remove(api: APIClient, image: str) -> None:
    with suppress(NotFound):
        api.remove_image(image, noprune=True)


def _config(diff_ids: Sequence[str], platform: Platform | None, label: str) -> bytes:
    config = {
        "os": platform.os if platform else "linux",
        "architecture": platform.architecture if platform else "amd64",
        "config": {"Labels": {LABEL: label}},
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
    }
    return json.dumps(config).encode()


def _archive(config: bytes, layers: int) -> bytes:
    """Return a docker archive that names its layers, and does not contain them."""
    names = [f"{number}/layer.tar" for number in range(layers)]
    manifest = json.dumps([{"Config": "config.json", "RepoTags": None, "Layers": names}]).encode()
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in (("config.json", config), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return content.getvalue()
