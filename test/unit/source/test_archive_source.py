"""An image in an archive as a source: what all of its platforms have in common."""

import pytest

from pipe.oci.image import Image
from pipe.source.archive_source import ArchiveSource
from pipe.source.blob import StoredImage


@pytest.mark.parametrize(
    ("revisions", "revision"),
    [
        pytest.param(["c0ffee"], "c0ffee", id="one-platform"),
        pytest.param(["c0ffee", "c0ffee"], "c0ffee", id="two-platforms"),
        pytest.param(["c0ffee", "decaf"], "", id="two-revisions"),
        pytest.param(["c0ffee", ""], "", id="one-without-a-label"),
        pytest.param([""], "", id="no-label"),
    ],
)
def test_the_revision_is_that_of_every_platform(revisions: list[str], revision: str) -> None:
    images = tuple(Image(f"sha256:{number}", 0, (), revision=each) for number, each in enumerate(revisions))
    assert ArchiveSource(StoredImage((), b"", (), images)).image.revision == revision
