"""The environment, read once, into a frozen value; every problem is reported together."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pipe.config.variables import CREDENTIALS, MAX_ATTEMPTS, MAX_LAYER_SIZE, REGISTRY, UPLOAD_TIMEOUT
from pipe.errors import ConfigurationError
from pipe.oci.reference import (
    COMPONENT_RULE,
    REGISTRY_RULE,
    REPOSITORY_MAXIMUM,
    TAG_RULE,
    Reference,
    is_component,
    is_digest,
    is_domain,
    is_path,
    is_tag,
    suggestion,
)
from pipe.units import parse_duration, parse_size

_BOOLEANS = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(("false", "no", "off", "0"), False)
COUNT_MAXIMUM = 1000
"""Of attempts and of tags: more is a slip of the pen."""
_SHOWN_MAXIMUM = 80
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the registry knows the user by.

    Attributes:
        username: A user name or an e-mail address.
        token: A secret; not part of the value's representation.
    """

    username: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user wants, complete and valid.

    Attributes:
        image: The image's name in the Engine, as the user wrote it.
        registry: Host of the registry, with an optional port.
        repository: `<workspace>/<package>`, the path in the registry.
        tags: At least one tag, none twice.
        credentials: For the registry.
        max_layer_size: Bytes that a layer may have.
        upload_timeout: Seconds that one layer's upload may last.
        max_attempts: How often a push is tried, at least 1.
        dry_run: Whether to check everything and upload nothing.
        result_file: Where to write the result as JSON, None for nowhere.
        variables_file: Where the step reads its output variables, None for nowhere.
        debug: Whether to tell more.
        docker: The variables that say where the Engine is.
        uploader: Who uploads: "auto", "engine" or "pipe".
        reuse_from: Tags of images whose layers may be reused.
        image_archive: An archive or layout that holds the image, None where an Engine does.
    """

    image: str
    registry: str
    repository: str
    tags: tuple[str, ...]
    credentials: Credentials
    max_layer_size: int
    upload_timeout: float
    max_attempts: int
    dry_run: bool
    result_file: Path | None
    variables_file: Path | None
    debug: bool
    docker: Mapping[str, str]
    uploader: str = "auto"
    reuse_from: tuple[str, ...] = ()
    image_archive: Path | None = None

    @property
    def name(self) -> Reference:
        """The image's name, parsed; its ID is a digest without a path."""
        if is_digest(self.image) or is_digest(f"sha256:{self.image}"):
            return Reference("", "", digest=self.image)
        return Reference.parse(self.image)

    @property
    def targets(self) -> tuple[Reference, ...]:
        """What is pushed: one reference a tag."""
        return tuple(Reference(self.registry, self.repository, tag) for tag in self.tags)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the variables.

        Args:
            environment: Such as `os.environ`; an empty value counts as absent.

        Returns:
            The settings.

        Raises:
            ConfigurationError: Variables are missing or wrong; all problems are in the one error.
        """
        return _Reader(environment).settings()


class _Reader:
    """Collects problems, so that they are told all at once."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.values = {name: value for name, value in environment.items() if value}
        self.problems: list[str] = []

    def settings(self) -> Settings:
        """Read everything, then complain of everything."""
        registry = self._checked("REGISTRY", self.values.get("REGISTRY", REGISTRY), is_domain, REGISTRY_RULE)
        workspace = self._workspace()
        image = self._image()
        settings = Settings(
            image=self.values.get("IMAGE_NAME", ""),
            registry=registry,
            repository=f"{workspace}/{self._package(image, registry, workspace)}",
            tags=self._tags(image),
            credentials=self._credentials(),
            max_layer_size=self._parsed("MAX_LAYER_SIZE", parse_size, MAX_LAYER_SIZE),
            upload_timeout=self._parsed("UPLOAD_TIMEOUT", parse_duration, UPLOAD_TIMEOUT),
            max_attempts=self._parsed("MAX_ATTEMPTS", _parse_count, MAX_ATTEMPTS),
            dry_run=self._parsed("DRY_RUN", _parse_boolean, "false"),
            result_file=self._path("RESULT_FILE"),
            variables_file=self._path("BITBUCKET_PIPELINES_VARIABLES_PATH"),
            debug=self._parsed("DEBUG", _parse_boolean, "false"),
            docker={name: value for name, value in self.values.items() if name.startswith("DOCKER_")},
            uploader=self.values.get("UPLOADER", "auto"),
            reuse_from=tuple(self.values.get("REUSE_FROM", "").replace(",", " ").split()),
            image_archive=self._path("IMAGE_ARCHIVE"),
        )
        if not self.problems and not is_path(settings.repository):
            self._problem("PACKAGE_NAME", settings.repository, f"shorter: at most {REPOSITORY_MAXIMUM} characters")
        if self.problems:
            raise ConfigurationError(self.problems)
        return settings

    def _problem(self, name: str, value: str, rule: str) -> None:
        shown = value if len(value) <= _SHOWN_MAXIMUM else f"{value[:_SHOWN_MAXIMUM]}…"
        self.problems.append(f"{name} is {shown!r}: it has to be {rule}.")

    def _checked(self, name: str, value: str, allowed: Callable[[str], bool], rule: str) -> str:
        if not allowed(value):
            self._problem(name, value, rule)
        return value

    def _parsed(self, name: str, parse: Callable[[str], Value], default: str) -> Value:
        text = self.values.get(name, default)
        try:
            return parse(text.strip())
        except ValueError as error:
            self._problem(name, text, str(error))
            return parse(default)

    def _path(self, name: str) -> Path | None:
        return Path(self.values[name]) if name in self.values else None

    def _workspace(self) -> str:
        name = "WORKSPACE" if "WORKSPACE" in self.values else "BITBUCKET_WORKSPACE"
        workspace = self.values.get(name)
        if workspace is None:
            self.problems.append(
                "WORKSPACE is missing: set it to the workspace's slug (in a pipeline it is $BITBUCKET_WORKSPACE)."
            )
            return ""
        return self._checked(name, workspace, is_component, f"a workspace's slug: {COMPONENT_RULE}")

    def _image(self) -> Reference | None:
        name = self.values.get("IMAGE_NAME")
        if name is None:
            self.problems.append("IMAGE_NAME is missing: set it to the name of the image that the step built.")
            return None
        if is_digest(name) or is_digest(f"sha256:{name}"):
            return Reference("", "", digest=name)
        try:
            return Reference.parse(name)
        except ValueError as error:
            self._problem("IMAGE_NAME", name, f"the name of an image; {error}")
            return None

    def _package(self, image: Reference | None, registry: str, workspace: str) -> str:
        given = self.values.get("PACKAGE_NAME")
        if image is not None and image.domain == registry and workspace:
            owner, _, package = image.path.partition("/")
            if owner != workspace:
                self.problems.append(
                    f"IMAGE_NAME is '{image}': it begins with the registry {registry}, but its workspace"
                    f" is '{owner}' where WORKSPACE is '{workspace}'. Make them the same."
                )
            elif not package:
                self.problems.append(f"IMAGE_NAME is '{image}': it has to name a package after the workspace.")
            else:
                given = given or package
        if given is not None:
            return self._checked("PACKAGE_NAME", given, is_path, f"a package's name: {COMPONENT_RULE}")
        if image is not None and not image.path:
            self.problems.append("PACKAGE_NAME is missing: an IMAGE_NAME that is an ID says no package.")
        return image.path.rpartition("/")[2] if image is not None else ""

    def _tags(self, image: Reference | None) -> tuple[str, ...]:
        entries = tuple(self._tag_entries())
        if not entries:
            return (image.tag if image and image.tag else "latest",)
        tags = tuple(dict.fromkeys(tag for _, text in entries for tag in text.replace(",", " ").split()))
        if not tags:
            self._problem(entries[0][0], entries[0][1], "at least one tag, separated by white space or commas")
        for tag in tags:
            self._checked("TAGS", tag, is_tag, f"made of tags of {TAG_RULE}{suggestion(tag)}")
        return tags

    def _tag_entries(self) -> Iterator[tuple[str, str]]:
        """Find the string `TAGS` or the array `TAGS_COUNT`, `TAGS_0`, … that Pipelines makes of a list."""
        if "TAGS" in self.values:
            yield "TAGS", self.values["TAGS"]
            return
        count = self.values.get("TAGS_COUNT")
        if count is None:
            return
        try:
            length = _parse_count(count)
        except ValueError as error:
            self._problem("TAGS_COUNT", count, str(error))
            return
        for index in range(length):
            yield f"TAGS_{index}", self.values.get(f"TAGS_{index}", "")

    def _text(self, name: str) -> str:
        """Read a part of credentials; its value is never shown."""
        text = self.values.get(name, "").strip()
        if not text.isprintable():
            self.problems.append(f"{name} holds characters that cannot be printed: copy it again.")
        return text

    def _credentials(self) -> Credentials:
        for username, token in CREDENTIALS:
            pair = self._text(username), self._text(token)
            if any(pair) and not all(pair):
                missing, there = (token, username) if pair[0] else (username, token)
                self.problems.append(f"{missing} is missing: {there} is set, and one needs the other.")
            if any(pair):
                return Credentials(*pair)
        self.problems.append(
            "BITBUCKET_PACKAGES_USERNAME and BITBUCKET_PACKAGES_TOKEN are missing: in a pipeline the step has them;"
            " elsewhere set ATLASSIAN_ACCOUNT_EMAIL and ATLASSIAN_API_TOKEN (scope write:package:bitbucket)."
        )
        return Credentials("", "")


def _parse_boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError("true or false") from None


def _parse_count(text: str) -> int:
    digits = text.lstrip("0") if text.isascii() and text.isdecimal() else ""
    if not digits or len(digits) > len(str(COUNT_MAXIMUM)) or int(digits) > COUNT_MAXIMUM:
        raise ValueError(f"a whole number from 1 to {COUNT_MAXIMUM}")
    return int(digits)
