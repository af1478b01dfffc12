"""The settings of a run, read from the environment once; every problem is reported together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from pipe.config.near_misses import near_misses
from pipe.config.tag_templates import Placeholders, template_problems
from pipe.config.tags import tag_problem
from pipe.config.values import TOKEN_MINIMUM, Values, parse_boolean, parse_choice, parse_count, shown
from pipe.config.variables import COMPRESSIONS, CREDENTIALS, DEFAULT_TAG, IF_TAG_EXISTS, UPLOADERS, default
from pipe.errors import ConfigurationError
from pipe.oci.reference import (
    ADDRESS_RULE,
    COMPONENT_RULE,
    REPOSITORY_MAXIMUM,
    Reference,
    is_address,
    is_component,
    is_digest,
    is_path,
    is_tag,
)
from pipe.text import clean
from pipe.units import parse_duration, parse_size


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials for the registry.

    Attributes:
        username: A user name or an e-mail address.
        token: A secret; not part of the value's representation.
    """

    username: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReuseFrom:
    """An image in the registry whose layers can be reused.

    Attributes:
        repository: `<workspace>/<package>`.
        tag: The image's tag.
    """

    repository: str
    tag: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The valid settings of a run.

    Attributes:
        image: The image's name in the Engine, as the user wrote it.
        name: The same, parsed; for an image ID, a digest without a path.
        registry: Host of the registry, with an optional port.
        repository: `<workspace>/<package>`, the path in the registry.
        tags: At least one tag, without duplicates.
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
        dropped_tags: Sentences about the tags in TAGS whose placeholders have no value in this run, with the reason.
    """

    image: str
    name: Reference
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
    uploader: str
    reuse_from: tuple[ReuseFrom, ...]
    image_archive: Path | None
    if_tag_exists: str = IF_TAG_EXISTS[0]
    compression: str = COMPRESSIONS[0]
    compress_plain: bool = False
    dropped_tags: tuple[str, ...] = ()

    @property
    def targets(self) -> tuple[Reference, ...]:
        """The references to push, one for each tag."""
        return tuple(Reference(self.registry, self.repository, tag) for tag in self.tags)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], today: date) -> "Settings":
        """Read the variables.

        Args:
            environment: Such as `os.environ`.
            today: The date in UTC, for the tag `{date}`.

        Raises:
            ConfigurationError: Variables are missing or invalid; the error lists all problems.
        """
        return _Reader(environment, today).settings()


class _Reader(Values):
    """Reads all variables before it reports problems."""

    def __init__(self, environment: Mapping[str, str], today: date) -> None:
        super().__init__(environment)
        self._placeholders = Placeholders(self.values, today)

    def settings(self) -> Settings:
        registry = self.values.get("REGISTRY", default("REGISTRY"))
        self.check("REGISTRY", registry, is_address, ADDRESS_RULE)
        workspace = self._workspace()
        image = self._image()
        repository = f"{workspace}/{self._package(image, registry, workspace)}"
        tags, dropped_tags = self._tags(image)
        clone_directory = self.path("BITBUCKET_CLONE_DIR")
        settings = Settings(
            image=self.values.get("IMAGE_NAME", ""),
            name=image or Reference("", ""),
            registry=registry,
            repository=repository,
            tags=tags,
            credentials=self._credentials(),
            max_layer_size=self.parse("MAX_LAYER_SIZE", parse_size),
            upload_timeout=self.parse("UPLOAD_TIMEOUT", parse_duration),
            max_attempts=self.parse("MAX_ATTEMPTS", parse_count),
            dry_run=self.parse("DRY_RUN", parse_boolean),
            result_file=self.path("RESULT_FILE", clone_directory),
            variables_file=self.path("BITBUCKET_PIPELINES_VARIABLES_PATH"),
            debug=self.parse("DEBUG", parse_boolean),
            docker=self._docker(),
            uploader=self.parse("UPLOADER", parse_choice(*UPLOADERS)),
            reuse_from=self._reuse_from(workspace, repository),
            image_archive=self.path("IMAGE_ARCHIVE", clone_directory),
            if_tag_exists=self.parse("IF_TAG_EXISTS", parse_choice(*IF_TAG_EXISTS)),
            compression=self.parse("COMPRESSION", parse_choice(*COMPRESSIONS)),
            compress_plain="COMPRESSION" in self.values,
            dropped_tags=dropped_tags,
        )
        if settings.image_archive is not None and settings.uploader == "engine":
            self.problems.append("UPLOADER=engine cannot be combined with IMAGE_ARCHIVE: leave UPLOADER out.")
        if not self.problems and not is_path(repository):
            self.fail("PACKAGE_NAME", repository, f"shorter (at most {REPOSITORY_MAXIMUM} characters)")
        self._check_names()
        if self.problems:
            raise ConfigurationError(self.problems)
        return settings

    def _check_names(self) -> None:
        for name, right in near_misses(self.environment):
            self.problems.append(
                f"{name} must be a string, not an array."
                if name == right
                else f"{name} is not a variable of this pipe. Did you mean {right}?"
            )

    def _docker(self) -> dict[str, str]:
        host = self.values.get("DOCKER_HOST", "")
        if host.startswith("ssh:"):
            self.problems.append(
                f"DOCKER_HOST must be a socket (unix://…) or a TCP address (tcp://…), got '{clean(host, lines=1)}'."
                " Forward the socket (`ssh -L /tmp/docker.sock:/var/run/docker.sock HOST`), and set DOCKER_HOST to it."
            )
        return {name: value for name, value in self.values.items() if name.startswith("DOCKER_")}

    def _workspace(self) -> str:
        name = "WORKSPACE" if "WORKSPACE" in self.values else "BITBUCKET_WORKSPACE"
        workspace = self.values.get(name)
        if workspace is None:
            self.problems.append(
                "WORKSPACE is missing: set it to the workspace's slug (in a pipeline it is $BITBUCKET_WORKSPACE)."
            )
            return ""
        return self.check(name, workspace, is_component, f"a workspace's slug ({COMPONENT_RULE})")

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
            if not self.fail_if_unexpanded("IMAGE_NAME", name):
                self.problems.append(f"IMAGE_NAME: {shown(name)} is not the name of an image: {error}.")
            return None

    def _package(self, image: Reference | None, registry: str, workspace: str) -> str:
        given = self.values.get("PACKAGE_NAME")
        if image is not None and image.domain == registry and workspace:
            owner, _, package = image.path.partition("/")
            if owner != workspace:
                self.problems.append(
                    f"IMAGE_NAME's workspace '{owner}' does not match WORKSPACE '{workspace}'"
                    f" (IMAGE_NAME is '{image}', which names the registry)."
                )
            elif not package:
                self.problems.append(f"IMAGE_NAME must name a package after the workspace, got '{image}'.")
            else:
                given = given or package
        if given is not None:
            return self.check("PACKAGE_NAME", given, is_path, f"a package's name ({COMPONENT_RULE})")
        if image is not None and not image.path:
            self.problems.append("PACKAGE_NAME is missing: it is required if IMAGE_NAME is an ID.")
        return image.path.rpartition("/")[2] if image is not None else ""

    def _tags(self, image: Reference | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the tags, and sentences about those without a value in this run."""
        usual = (image.tag if image else "") or DEFAULT_TAG
        before = len(self.problems)
        tags: list[str] = []
        dropped: dict[str, list[str]] = {}
        for template in self.items("TAGS", f"push `{usual}`") or (usual,):
            try:
                tags += self._filled(template)
            except LookupError as reason:
                dropped.setdefault(str(reason), []).append(template)
        sentences = tuple(f"Not pushing {', '.join(templates)}: {reason}." for reason, templates in dropped.items())
        if not tags and len(self.problems) == before:
            self.problems.append(" ".join(["TAGS has no tag for this step.", *sentences]))
        return tuple(dict.fromkeys(tags)) or (usual,), sentences

    def _filled(self, template: str) -> list[str]:
        """Return an item of TAGS with its placeholders filled; nothing if the item is invalid."""
        if self.fail_if_unexpanded("TAGS", template):
            return []
        problems = template_problems(template) if "{" in template else []
        self.problems += [f"TAGS: {problem}" for problem in problems]
        tag = "" if problems else self._placeholders.fill(template)
        return [tag] if tag and self._is_tag("TAGS", tag) else []

    def _is_tag(self, name: str, tag: str) -> bool:
        valid = is_tag(tag)
        if not valid and not self.fail_if_unexpanded(name, tag):
            self.problems.append(f"{name}: {tag_problem(tag)}.")
        return valid

    def _reuse_from(self, workspace: str, repository: str) -> tuple[ReuseFrom, ...]:
        found = []
        for item in self.items("REUSE_FROM") or ():
            package, colon, tag = item.rpartition(":")
            if colon and not is_path(package):
                self.fail("REUSE_FROM", item, f"a tag or `package:tag` ({COMPONENT_RULE})")
            elif self._is_tag("REUSE_FROM", tag):
                found.append(ReuseFrom(f"{workspace}/{package}" if colon else repository, tag))
        return tuple(found)

    def _credentials(self) -> Credentials:
        for username, token in CREDENTIALS:
            pair = self.credential(username), self.credential(token, TOKEN_MINIMUM)
            if any(pair) and not all(pair):
                missing, there = (token, username) if pair[0] else (username, token)
                self.problems.append(f"{missing} is missing: {there} is set, and both are required.")
            if any(pair):
                return Credentials(*pair)
        self.problems.append(self._missing_credentials())
        return Credentials("", "")

    def _missing_credentials(self) -> str:
        (username, token), (email, api_token) = CREDENTIALS
        account = f"{email} and {api_token} (scope write:package:bitbucket)"
        if "BITBUCKET_BUILD_NUMBER" not in self.values:
            return f"{username} and {token} are missing. Outside Bitbucket Pipelines, set {account} instead."
        missing = (
            f"{username} and {token} are missing. Add these two lines to the pipe's `variables`:"
            f"\n      {username}: ${username}\n      {token}: ${token}"
        )
        if username in self.environment or token in self.environment:
            missing += (
                f"\n    If they are there already, the step does not provide these variables: set {account} instead."
            )
        return missing
