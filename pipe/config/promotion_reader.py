"""What a run promotes or joins: images that are in the registry already."""

from pipe.config.request_reader import named_package, parsed_image
from pipe.config.settings import Promotion, PushRequest
from pipe.config.tag_reader import TagReader
from pipe.config.values import Values
from pipe.config.variables import default
from pipe.oci.reference import COMPONENT_RULE, Reference, is_digest, is_path
from pipe.text import listed

_NOT_A_NAME = "a tag or a digest, without the package's name (FROM_PACKAGE names another package)"
_SENSELESS = ("IMAGE_ARCHIVE", "COMPOSE_FILE", "UPLOADER", "COMPRESSION", "SPLIT_LAYERS", "REUSE_FROM")
"""Variables about the upload of an image that was built."""
_CHOICES = ("UPLOADER", "COMPRESSION")
"""Those with a default, which does no harm."""


class PromotionReader:
    """Reads the variables that name images of the registry.

    Attributes:
        variable: PROMOTE or PLATFORM_TAGS; "" if an image is pushed.
    """

    def __init__(self, values: Values, tags: TagReader, registry: str, workspace: str) -> None:
        """Read nothing yet; the workspace is "" if it is unknown."""
        self._values = values
        self._tags = tags
        self._registry = registry
        self._workspace = workspace
        self.variable = next((name for name in ("PROMOTE", "PLATFORM_TAGS") if values.given(name)), "")
        if not self.variable and values.given("FROM_PACKAGE"):
            values.problems.append(
                "FROM_PACKAGE requires PROMOTE or PLATFORM_TAGS, which name an image of that package."
            )

    def requests(self) -> tuple[PushRequest, ...]:
        """Return the request, and record every problem."""
        self._reject_combinations()
        names = self._names()
        image = self._image()
        package = self._package(image)
        source = self._values.values.get("FROM_PACKAGE", package)
        if source != package:
            self._values.check("FROM_PACKAGE", source, is_path, f"a package's name ({COMPONENT_RULE})")
        promotion = Promotion(f"{self._workspace}/{source}", names, is_joined=self.variable == "PLATFORM_TAGS")
        shown_name = listed([f"{source}{'@' if is_digest(name) else ':'}{name}" for name in names])
        repository = f"{self._workspace}/{package}"
        return (
            PushRequest(shown_name, Reference("", ""), self._registry, repository, self._targets(image), promotion),
        )

    def _reject_combinations(self) -> None:
        problems, values = self._values.problems, self._values.values
        if self.variable == "PROMOTE" and self._values.given("PLATFORM_TAGS"):
            problems.append("PROMOTE cannot be combined with PLATFORM_TAGS: use the pipe once for each.")
        usual = {name for name in _CHOICES if values.get(name, "").strip().lower() == default(name)}
        given = [name for name in _SENSELESS if self._values.given(name) and name not in usual]
        if given:
            problems.append(
                f"{self.variable} cannot be combined with {listed(given)}: the image is in the registry already."
            )

    def _names(self) -> tuple[str, ...]:
        """Return the tags and digests of the images."""
        if self.variable == "PROMOTE":
            # An array is rejected with all variables that cannot be one.
            items = [self._values.values["PROMOTE"].strip()] if "PROMOTE" in self._values.values else []
            if items == [""]:
                self._values.problems.append("PROMOTE is empty: leave it out to push an image.")
        else:
            items = list(self._values.items("PLATFORM_TAGS", "push an image") or ())
        return tuple(name for item in items for name in self._name(item))

    def _name(self, item: str) -> list[str]:
        if is_digest(item):
            return [item]
        if set(":/@") & set(item.partition("{")[0]):
            self._values.fail(self.variable, item, _NOT_A_NAME)
            return []
        return self._tags.existing(self.variable, item)

    def _image(self) -> Reference | None:
        """Return IMAGE_NAME, which may name the package."""
        names = self._values.names("IMAGE_NAME")
        self._check_number(names)
        if not names or is_digest(names[0]):
            return None
        return parsed_image(self._values, "IMAGE_NAME", names[0]) or Reference("", "")

    def _package(self, image: Reference | None) -> str:
        names = self._values.names("PACKAGE_NAME")
        self._check_number(names)
        if names:
            return self._values.check("PACKAGE_NAME", names[0], is_path, f"a package's name ({COMPONENT_RULE})")
        if image is None:
            self._values.problems.append(f"PACKAGE_NAME is missing: {self.variable} needs the package for the tags.")
            return ""
        if image.domain == self._registry and self._workspace:
            return named_package(self._values, "IMAGE_NAME", image, self._workspace)
        return image.path.rpartition("/")[2]

    def _check_number(self, names: tuple[str, ...]) -> None:
        if len(names) > 1:
            self._values.problems.append(
                f"{self.variable} is about one package, not {listed(names)}: use the pipe once for each."
            )

    def _targets(self, image: Reference | None) -> tuple[str, ...]:
        usual = image.tag if image is not None else ""
        if not usual and not self._values.given("TAGS"):
            self._values.problems.append(f"TAGS is missing: {self.variable} needs the tags to push.")
            return ()
        return self._tags.read(usual) or ((usual,) if usual else ())
