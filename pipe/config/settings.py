"""The settings of a run; `pipe.config.reader` reads them from the environment."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pipe.config.variables import COMPRESSIONS, IF_TAG_EXISTS
from pipe.oci.reference import Reference


class Credentials(NamedTuple):
    """The credentials for the registry.

    Attributes:
        username: A user name or an e-mail address.
        token: A secret; not part of the value's representation.
    """

    username: str
    token: str

    def __repr__(self) -> str:  # noqa: D105 # without the token
        return f"Credentials(username={self.username!r})"


class ReuseFrom(NamedTuple):
    """An image in the registry whose layers can be reused.

    Attributes:
        repository: `<workspace>/<package>`; "" for the one that is pushed to.
        tag: The image's tag.
    """

    repository: str
    tag: str


class Promotion(NamedTuple):
    """Images that are in the registry already.

    Attributes:
        repository: `<workspace>/<package>` that has them.
        names: Their tags or digests, at least one.
        is_joined: Whether an index of them is pushed; if not, there is one image.
    """

    repository: str
    names: tuple[str, ...]
    is_joined: bool


class PushRequest(NamedTuple):
    """One image, and where to push it.

    Attributes:
        image: The image's name in the Engine, as the user wrote it.
        name: The same, parsed; for an image ID, a digest without a path.
        registry: Host of the registry, with an optional port.
        repository: `<workspace>/<package>`, the path in the registry.
        tags: At least one tag, without duplicates.
        promotion: What to push if it is in the registry already; None if it was built.
    """

    image: str
    name: Reference
    registry: str
    repository: str
    tags: tuple[str, ...]
    promotion: Promotion | None = None

    @property
    def targets(self) -> tuple[Reference, ...]:
        """The references to push, one for each tag."""
        return tuple(Reference(self.registry, self.repository, tag) for tag in self.tags)


class Settings(NamedTuple):
    """The valid settings of a run.

    Attributes:
        requests: The images to push, at least one, in the order of the user.
        registry: Host of the registry, with an optional port.
        credentials: For the registry.
        max_layer_size: Maximum bytes of a layer.
        upload_timeout: Maximum seconds of one layer's upload.
        max_attempts: Maximum number of attempts, at least 1.
        dry_run: Whether to check everything, but upload nothing.
        result_file: The file to write the result to, None for none.
        variables_file: The file that Pipelines reads the step's output variables from, None for none.
        debug: Whether to log debug information.
        docker: The variables that locate the Engine.
        uploader: "auto", "engine" or "pipe".
        reuse_from: Images whose layers can be reused.
        image_archive: The archive or layout that contains the image, None if an Engine does.
        if_tag_exists: What to do if a tag points to another image: "overwrite", "skip" or "fail".
        compression: How the pipe compresses layers: "auto", "fast", "small" or "zstd".
        compress_plain: Whether to compress plain layers of an OCI image too, since COMPRESSION is set.
        referrers: Whether to push artifacts that refer to the image.
        split_size: Maximum bytes of a layer's part if larger layers are split, None if no size was given.
        split_auto: Whether layers that exceed a limit are split.
        dropped_tags: Sentences about the tags in TAGS whose placeholders have no value in this run, with the reason.
    """

    requests: tuple[PushRequest, ...]
    registry: str
    credentials: Credentials
    max_layer_size: int
    upload_timeout: float
    max_attempts: int
    dry_run: bool
    result_file: Path | None
    variables_file: Path | None
    debug: bool
    docker: Mapping[str, str]
    uploader: str
    reuse_from: tuple[ReuseFrom, ...]
    image_archive: Path | None
    if_tag_exists: str = IF_TAG_EXISTS[0]
    compression: str = COMPRESSIONS[0]
    compress_plain: bool = False
    referrers: bool = False
    split_size: int | None = None
    split_auto: bool = False
    dropped_tags: tuple[str, ...] = ()
