"""What a run pushes: the images, their packages and tags."""

from pathlib import Path

from pipe.config.settings import PushRequest
from pipe.config.tag_reader import TagReader
from pipe.config.values import Values, shown
from pipe.config.variables import DEFAULT_TAG
from pipe.oci.reference import COMPONENT_RULE, Reference, is_digest, is_path
from pipe.text import listed


class RequestReader:
    """Reads the variables that name images, packages and tags."""

    def __init__(self, values: Values, tags: TagReader, registry: str, workspace: str) -> None:
        """Read nothing yet; the workspace is "" if it is unknown."""
        self._values = values
        self._tags = tags
        self._registry = registry
        self._workspace = workspace
        self._source = "COMPOSE_FILE" if "COMPOSE_FILE" in values.values else "IMAGE_NAME"

    def requests(self) -> tuple[PushRequest, ...]:
        """Return the requests, without duplicates and at least one, or record every problem."""
        names, before = self._names(), len(self._values.problems)
        packages = self._values.names("PACKAGE_NAME")
        is_matched = len(self._values.problems) == before and len(packages) in {0, len(names)}
        if self._source == "COMPOSE_FILE":
            self._reject_combinations()
            packages = ()
        elif packages and names and not is_matched and len(self._values.problems) == before:
            self._values.problems.append(
                f"PACKAGE_NAME names {_count(len(packages), 'package')}, but IMAGE_NAME names"
                f" {_count(len(names), 'image')}: give each image its package, in the same order."
            )
        images = [self._image(name) for name in names]
        pairs = [
            (name, image or Reference("", ""), self._package(image, packages[index] if index < len(packages) else None))
            for index, (name, image) in enumerate(zip(names, images, strict=True))
        ]
        if not pairs:
            self._package(None, packages[0] if packages else None)
        usual = {(image.tag if image else "") or DEFAULT_TAG for image in images} or {DEFAULT_TAG}
        tags = self._tags.read(usual.pop() if len(usual) == 1 else "")
        requests = tuple(
            PushRequest(
                name, image, self._registry, f"{self._workspace}/{package}", tags or (image.tag or DEFAULT_TAG,)
            )
            for name, image, package in pairs
        )
        if is_matched:
            self._check_targets(requests)
        return tuple(dict.fromkeys(requests))

    def _names(self) -> tuple[str, ...]:
        before = len(self._values.problems)
        if self._source == "IMAGE_NAME":
            names = self._values.names("IMAGE_NAME")
            if not names and len(self._values.problems) == before:
                self._values.problems.append(
                    "IMAGE_NAME is missing: set it to the name of the image that the step built."
                )
            return names
        path = self._values.path("COMPOSE_FILE", self._values.path("BITBUCKET_CLONE_DIR")) or Path()
        if len(self._values.problems) > before:
            return ()
        # Few runs need a YAML parser.
        from pipe.config.compose import ComposeFile  # noqa: PLC0415

        file = ComposeFile(path, self._values.environment)
        self._values.problems += [f"COMPOSE_FILE {path}: {problem}." for problem in file.problems]
        return file.images

    def _reject_combinations(self) -> None:
        others = [name for name in ("IMAGE_NAME", "PACKAGE_NAME") if self._values.given(name)]
        if others:
            self._values.problems.append(
                f"COMPOSE_FILE cannot be combined with {listed(others)}: it names the images itself."
            )

    def _image(self, name: str) -> Reference | None:
        if is_digest(name) or is_digest(f"sha256:{name}"):
            return Reference("", "", digest=name)
        return parsed_image(self._values, self._source, name)

    def _package(self, image: Reference | None, given: str | None) -> str:
        """Return the package of an image; "" if there is none, which is recorded."""
        if image is not None and image.domain == self._registry and self._workspace:
            package = named_package(self._values, self._source, image, self._workspace)
            given = given or package or None
        if given is not None:
            return self._values.check("PACKAGE_NAME", given, is_path, f"a package's name ({COMPONENT_RULE})")
        if image is not None and not image.path:
            self._values.problems.append("PACKAGE_NAME is missing: it is required if IMAGE_NAME is an ID.")
        return image.path.rpartition("/")[2] if image is not None else ""

    def _check_targets(self, requests: tuple[PushRequest, ...]) -> None:
        """Record different images under one tag of one package."""
        images: dict[tuple[str, str], str] = {}
        for request in requests:
            places = [(request.repository, tag) for tag in request.tags if is_path(request.repository)]
            taken = next((place for place in places if images.setdefault(place, request.image) != request.image), None)
            if taken is not None:
                self._values.problems.append(
                    f"{self._source}: {shown(images[taken])} and {shown(request.image)} would both be pushed to"
                    f" {':'.join(taken)}. Give each its own package."
                )


def parsed_image(values: Values, variable: str, name: str) -> Reference | None:
    """Return the name of an image; None if it is not one, which is recorded."""
    try:
        return Reference.parse(name)
    except ValueError as error:
        if not values.fail_if_unexpanded(variable, name):
            values.problems.append(f"{variable}: {shown(name)} is not the name of an image: {error}.")
        return None


def named_package(values: Values, variable: str, image: Reference, workspace: str) -> str:
    """Return the package in a name that begins with the registry; "" if there is none, which is recorded."""
    owner, _, package = image.path.partition("/")
    if owner != workspace:
        values.problems.append(
            f"{variable}'s workspace '{owner}' does not match WORKSPACE '{workspace}'"
            f" ({variable} is '{image}', which names the registry)."
        )
        return ""
    if not package:
        values.problems.append(f"{variable} must name a package after the workspace, got '{image}'.")
    return package


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s'[: number != 1]}"
