"""An Engine's tags, as far as a run reads and changes them."""

from typing import TYPE_CHECKING, Any

from docker.errors import NotFound

from pipe.oci.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Mapping

TARGET = Reference("crg.apkg.io", "acme/app", "1")
OURS, THEIRS, USERS = (f"sha256:{letter * 64}" for letter in "abc")
NOW = 1_800_000_000


class EngineTags:
    """Answers the requests about tags, each at once as a whole."""

    def __init__(self, tags: "Mapping[str, str]", *unnamed: str) -> None:
        """Store the tags, and images without one; their images stay whatever becomes of the tags."""
        self.tags = dict(tags)
        self._ids = {*tags.values(), *unnamed}
        self.timeout = 30

    def request(self) -> None:
        """Do something before each request, in a subclass."""

    def close(self) -> None:
        """Close nothing."""

    def inspect_image(self, name: str) -> dict[str, Any]:
        """Find an image."""
        self.request()
        image = self.tags.get(name, name if name in self._ids else "")
        if not image:
            raise NotFound(name)
        return {"Id": image, "RepoTags": [tag for tag, named in self.tags.items() if named == image]}

    def images(self, filters: "Mapping[str, list[str]]") -> list[dict[str, Any]]:
        """List images by the beginnings of a tag."""
        self.request()
        beginnings = tuple(each.removesuffix("*") for each in filters["reference"])
        return [{"Id": image, "RepoTags": [tag]} for tag, image in self.tags.items() if tag.startswith(beginnings)]

    def tag(self, image: str, repository: str, tag: str) -> None:
        """Set a tag."""
        self.request()
        if image not in self._ids:
            raise NotFound(image)
        self.tags[f"{repository}:{tag}"] = image

    def remove_image(self, name: str, *, noprune: bool) -> None:
        """Remove a tag."""
        assert noprune
        self.request()
        if self.tags.pop(name, None) is None:
            raise NotFound(name)
