"""The Engine's tags in one repository, markers included."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from docker import APIClient
from docker.errors import APIError, NotFound

from pipe.engine.marker import PREFIX, Marker, key_of

_HUB = re.compile(r"(?:index\.)?docker\.io/(?:library/)?")
"""What Docker Engine leaves out of a name of Docker Hub; source: distribution/reference, `FamiliarName`."""
TRIES = 5
"""Times that a tag is looked up or set while others move it."""


class Tags:
    """The tags of one repository in an Engine."""

    def __init__(self, api: APIClient, repository: str) -> None:
        """Store the client and the repository, such as `crg.apkg.io/acme/app`."""
        self._api = api
        self.repository = repository
        self._forms = _forms(repository)

    def image_of(self, tag: str) -> tuple[str, list[Marker]]:
        """Return the ID of the image that a tag names, and the image's markers; "" and none if there is no such tag.

        Both are of one moment. An Engine finds the image first and lists its names then; if another pipe moved the
        tag in between, the names lack it, and the question is repeated.
        """
        name = f"{self.repository}:{tag}"
        found: tuple[str, list[Marker]] = "", []
        for _ in range(TRIES):
            try:
                image = self._api.inspect_image(name)
            except NotFound:
                return "", []
            names = self._listed(image)
            found = str(image["Id"]), self._markers(names)
            if name in names:
                break
        return found

    def names(self, image: str) -> list[str]:
        """Return all names of an image, of any repository."""
        try:
            return self._listed(self._api.inspect_image(image))
        except NotFound:
            return []

    def markers(self, image: str) -> list[Marker]:
        """Return the markers of an image."""
        return self._markers(self.names(image))

    def _markers(self, names: list[str]) -> list[Marker]:
        return [marker for tag in self._of(names) if (marker := Marker.parse(tag))]

    def marked_images(self) -> set[str]:
        """Return the IDs of all images with a marker."""
        return {str(each["Id"]) for each in self._marked() if self._markers(self._listed(each))}

    def all_markers(self) -> list[Marker]:
        """Return the markers of all images."""
        return [marker for each in self._marked() for marker in self._markers(self._listed(each))]

    def _marked(self) -> list[dict[str, Any]]:
        patterns = [f"{form}:{PREFIX}*" for form in self._forms]
        return self._api.images(filters={"reference": patterns}) or []

    def _listed(self, image: Mapping[str, Any]) -> list[str]:
        """Return the names that an Engine lists of an image, those of the repository in the form that requests use."""
        found = []
        for name in image.get("RepoTags") or []:
            form = next((each for each in self._forms if name.startswith(f"{each}:")), None)
            found.append(f"{self.repository}{name.removeprefix(form)}" if form else name)
        return found

    def _of(self, names: list[str]) -> list[str]:
        beginning = f"{self.repository}:"
        return [name.removeprefix(beginning) for name in names if name.startswith(beginning)]

    def set(self, image: str, tag: str) -> None:
        """Point a tag to an image.

        A containerd store removes the tag first, and fails if another pipe sets it in between.
        """
        for _ in range(TRIES - 1):
            try:
                self._api.tag(image, self.repository, tag)
            except APIError as error:
                if not error.is_server_error():
                    raise
            else:
                return
        self._api.tag(image, self.repository, tag)

    def remove(self, tag: str) -> None:
        """Remove a tag if it exists; its image must have another one, else it is deleted."""
        try:
            self._api.remove_image(f"{self.repository}:{tag}", noprune=True)
        except NotFound:
            return

    def give_back(self, image: str, tag: str, original: str) -> bool:
        """Point a tag to its original again, or remove it from `image` if it had none.

        Return False if the tag must stay: removing the only name of an image deletes the image.
        """
        if original:
            try:
                self.set(original, tag)
            except NotFound:
                return self.give_back(image, tag, "")
            return True
        if not self._is_named(image, f"{self.repository}:{tag}"):
            return False
        self.remove(tag)
        return True

    def drop(self, image: str, marker: Marker) -> str:
        """Remove a marker; if the image has no name but markers, replace it by a tag that is none, and return that.

        Another marker is no name to rely on: its run may remove it at the same time.
        """
        if self._is_named(image):
            self.remove(str(marker))
            return ""
        kept = f"{PREFIX}kept-{marker.run}"
        self.set(image, kept)
        self.remove(str(marker))
        return kept

    def _is_named(self, image: str, own: str = "") -> bool:
        """Return whether an image has a name that is neither a marker nor `own`."""
        return any(name != own and not any(map(Marker.parse, self._of([name]))) for name in self.names(image))

    def sweep(self, now: int, warn: Callable[[str], None]) -> None:
        """Undo what dead runs left in the repository: markers, and the tags that they had moved or added."""
        for image in self.marked_images():
            markers = self.markers(image)
            for marker in markers:
                if not marker.is_dead(now):
                    continue
                at_work = any(other.key == marker.key and not other.is_dead(now) for other in markers)
                for tag in self._of(self.names(image)):
                    # A pipe that pushes this image under this tag right now will put the tag back.
                    if key_of(tag) == marker.key and not at_work and self.give_back(image, tag, marker.original):
                        outcome = "moved back" if self.image_of(tag)[0] else "removed"
                        warn(f"A killed run left the tag {self.repository}:{tag} in Docker Engine; it was {outcome}.")
                self.drop(image, marker)


def _forms(repository: str) -> tuple[str, ...]:
    """Return how Engines list a repository: one of Docker Hub in short, and podman with the host's usual name."""
    hub = _HUB.match(repository)
    return (repository, repository[hub.end() :], repository.removeprefix("index.")) if hub else (repository,)
