"""What a run pushes: the images, their packages and tags."""

from pipe.config.settings import Request
from pipe.config.tag_reader import TagReader
from pipe.config.values import Values, shown
from pipe.config.variables import DEFAULT_TAG
from pipe.oci.reference import COMPONENT_RULE, Reference, is_digest, is_path


class RequestReader:
    """Reads the variables that name images, packages and tags."""

    def __init__(self, values: Values, tags: TagReader) -> None:
        self._values = values
        self._tags = tags

    def requests(self, registry: str, workspace: str) -> tuple[Request, ...]:
        """Return the requests, and record every problem."""
        image = self._image()
        repository = f"{workspace}/{self._package(image, registry, workspace)}"
        tags = self._tags.read((image.tag if image else "") or DEFAULT_TAG)
        return (
            Request(self._values.values.get("IMAGE_NAME", ""), image or Reference("", ""), registry, repository, tags),
        )

    def _image(self) -> Reference | None:
        name = self._values.values.get("IMAGE_NAME")
        if name is None:
            self._values.problems.append("IMAGE_NAME is missing: set it to the name of the image that the step built.")
            return None
        if is_digest(name) or is_digest(f"sha256:{name}"):
            return Reference("", "", digest=name)
        try:
            return Reference.parse(name)
        except ValueError as error:
            if not self._values.fail_if_unexpanded("IMAGE_NAME", name):
                self._values.problems.append(f"IMAGE_NAME: {shown(name)} is not the name of an image: {error}.")
            return None

    def _package(self, image: Reference | None, registry: str, workspace: str) -> str:
        given = self._values.values.get("PACKAGE_NAME")
        if image is not None and image.domain == registry and workspace:
            owner, _, package = image.path.partition("/")
            if owner != workspace:
                self._values.problems.append(
                    f"IMAGE_NAME's workspace '{owner}' does not match WORKSPACE '{workspace}'"
                    f" (IMAGE_NAME is '{image}', which names the registry)."
                )
            elif not package:
                self._values.problems.append(f"IMAGE_NAME must name a package after the workspace, got '{image}'.")
            else:
                given = given or package
        if given is not None:
            return self._values.check("PACKAGE_NAME", given, is_path, f"a package's name ({COMPONENT_RULE})")
        if image is not None and not image.path:
            self._values.problems.append("PACKAGE_NAME is missing: it is required if IMAGE_NAME is an ID.")
        return image.path.rpartition("/")[2] if image is not None else ""
