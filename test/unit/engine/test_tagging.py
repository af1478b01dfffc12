"""Tags in an Engine that a signal interrupts while they are put back."""

import contextlib
from typing import TYPE_CHECKING, Any, cast

import pytest
from docker.errors import ImageNotFound

from pipe.engine.tagging import CLOSING_TIMEOUT, Tag
from pipe.errors import StoppedError
from pipe.oci.image import Image
from pipe.oci.reference import Reference

if TYPE_CHECKING:
    from docker import APIClient

TARGET = Reference("crg.apkg.io", "acme/app", "1")
SIGTERM = 15


class Tags:
    """An Engine's tags; a signal comes in place of one of the requests."""

    def __init__(self, tags: dict[str, str]) -> None:
        self.tags = tags
        self.timeout = 30
        self.stop_in = -1

    def _request(self) -> None:
        self.stop_in -= 1
        if self.stop_in == 0:
            raise StoppedError(SIGTERM)

    def inspect_image(self, name: str) -> dict[str, Any]:
        """Find an image."""
        self._request()
        image = self.tags.get(name, name if name in self.tags.values() else "")
        if not image:
            raise ImageNotFound(name)
        return {"Id": image, "RepoTags": [tag for tag, named in self.tags.items() if named == image]}

    def tag(self, image: str, repository: str, tag: str) -> None:
        """Set a tag."""
        self._request()
        self.tags[f"{repository}:{tag}"] = image

    def remove_image(self, name: str, *, noprune: bool) -> None:
        """Remove a tag."""
        del noprune
        self._request()
        if self.tags.pop(name, None) is None:
            raise ImageNotFound(name)


@pytest.mark.parametrize("before", [{}, {str(TARGET): "sha256:other"}], ids=["no-such-tag", "another-image"])
@pytest.mark.parametrize("at", range(1, 8))
def test_a_signal_while_tags_are_put_back_leaves_none(before: dict[str, str], at: int) -> None:
    engine = Tags({"app:1": "sha256:image"} | before)
    told: list[str] = []
    tag = Tag(cast("APIClient", engine), Image("sha256:image", 0, ()), TARGET, told.append)
    try:
        with tag.applied(contextlib.nullcontext):
            engine.stop_in = at
    except StoppedError:
        assert engine.timeout == CLOSING_TIMEOUT
    assert engine.tags == {"app:1": "sha256:image"} | before
    assert told == []
