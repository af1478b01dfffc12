"""Tags that point to another image than the one that is pushed."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import docker
from integration.images import Built
from integration.registries import MEDIA_TYPES, REPOSITORY
from integration.running import Finished, Running, Start, environment_of
from registry.client import LocalRegistry

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Place:
    """Two images that a registry has, where they can be pushed from, and a client to that registry.

    Attributes:
        registry: Without faults and with an empty log.
        host: Its address for the pipe.
        inside: What the pipe's command begins with.
        variables: For every run.
        images: What says which image to push, by the names `old` and `new`.
        digests: Of the images' manifests, by these names.
    """

    registry: LocalRegistry
    host: str
    inside: tuple[str, ...]
    variables: dict[str, str]
    images: Mapping[str, dict[str, str]]
    digests: dict[str, str] = field(default_factory=dict)

    def point(self, image: str, *tags: str) -> None:
        """Let tags point to an image, as another push would."""
        scope = self.registry.bearer("pipeline", f"{REPOSITORY}:pull,push")
        url = f"{self.registry.url}/v2/{REPOSITORY}/manifests"
        with self.registry.session() as session:
            accept = {"Accept": ", ".join(MEDIA_TYPES)}
            answer = session.get(f"{url}/{self.digests[image]}", headers=scope | accept, timeout=10)
            headers = scope | {"Content-Type": answer.headers["Content-Type"]}
            for tag in tags:
                session.put(f"{url}/{tag}", data=answer.content, headers=headers, timeout=10).raise_for_status()


@dataclass(frozen=True, slots=True)
class Way:
    """A way to push the new image."""

    place: Place
    uploader: str
    start: Start

    def begin(self, tags: str, image: str = "new", **variables: str) -> Running:
        """Begin to push."""
        place = self.place
        usual = {"REGISTRY": place.host, "PACKAGE_NAME": "my-container-app", "UPLOADER": self.uploader, "TAGS": tags}
        return self.start(place.registry, *place.inside, **(usual | place.variables | place.images[image] | variables))

    def push(self, tags: str, image: str = "new", **variables: str) -> Finished:
        """Push."""
        return self.begin(tags, image, **variables).finish()

    @property
    def registry(self) -> LocalRegistry:
        """The registry."""
        return self.place.registry

    @property
    def old(self) -> str:
        """How messages describe the old image."""
        return f"{self.place.digests['old']} (created 20"

    def named(self, tag: str) -> str:
        """Return how messages name a tag."""
        return f"{self.place.host}/{REPOSITORY}:{tag}"

    def writes(self) -> list[str]:
        """List the requests that brought something to the registry."""
        return [f"{entry.method} {entry.path}" for entry in self.registry.requests(method="P[AU]T*")]


def fresh(*names: str) -> list[str]:
    """Make tags that no registry has."""
    number = next(_numbers)
    return [f"{name}-{number}" for name in names]


def statuses(finished: Finished) -> dict[str, str]:
    """Return the status of each tag in the result file."""
    tags = finished.result["tags"]
    assert isinstance(tags, list)
    return {tag["tag"]: tag["status"] for tag in tags}


def errors(finished: Finished) -> dict[str, str]:
    """Return the error of each tag in the result file that has one."""
    tags = finished.result["tags"]
    assert isinstance(tags, list)
    return {tag["tag"]: tag["error"] for tag in tags if tag["error"]}


def named(built: Mapping[str, Built]) -> dict[str, dict[str, str]]:
    """Return what says which of an Engine's images to push."""
    return {name: {"IMAGE_NAME": image.name} for name, image in built.items()}


def saved(engine: docker.DockerClient, built: Mapping[str, Built], folder: Path) -> dict[str, dict[str, str]]:
    """Save images, and return what says which of the archives to push."""
    for name, image in built.items():
        (folder / name).write_bytes(b"".join(engine.images.get(image.name).save(named=True)))
    return {name: {**named, "IMAGE_ARCHIVE": str(folder / name)} for name, named in named(built).items()}


def with_digests(place: Place, folder: Path) -> Place:
    """Push both images."""
    for image, variables in place.images.items():
        usual = {"REGISTRY": place.host, "PACKAGE_NAME": "my-container-app", "TAGS": fresh(image)[0]}
        result = {"RESULT_FILE": str(folder / "result.json")}
        environment = environment_of(**(usual | place.variables | variables | result))
        with Running(folder, environment, place.inside) as running:
            finished = running.finish()
        finished.expect(0)
        place.digests[image] = str(finished.result["digest"])
    return place
