"""The environment, read once, into a frozen value; every problem is reported together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipe.config.near_misses import near_misses
from pipe.config.values import Values, parse_boolean, parse_choice, parse_count
from pipe.config.variables import CREDENTIALS, DEFAULT_TAG, default
from pipe.errors import ConfigurationError
from pipe.oci.reference import (
    ADDRESS_RULE,
    COMPONENT_RULE,
    REPOSITORY_MAXIMUM,
    TAG_RULE,
    Reference,
    is_address,
    is_component,
    is_digest,
    is_path,
    is_tag,
    suggestion,
)
from pipe.text import clean
from pipe.units import parse_duration, parse_size

UPLOADERS = ("auto", "engine", "pipe")


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
        name: The same, parsed; of an image's ID, a digest without a path.
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
        clone_directory: The step's, None outside a pipeline.
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
    reuse_from: tuple[str, ...]
    image_archive: Path | None
    clone_directory: Path | None = None

    @property
    def targets(self) -> tuple[Reference, ...]:
        """What is pushed: one reference a tag."""
        return tuple(Reference(self.registry, self.repository, tag) for tag in self.tags)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the variables.

        Args:
            environment: Such as `os.environ`; an empty value is as good as none.

        Returns:
            The settings.

        Raises:
            ConfigurationError: Variables are missing or wrong; all problems are in the one error.
        """
        return _Reader(environment).settings()


class _Reader(Values):
    """Reads everything, then complains of everything."""

    def settings(self) -> Settings:
        """Return the settings."""
        registry = self.values.get("REGISTRY", default("REGISTRY"))
        self.checked("REGISTRY", registry, is_address, ADDRESS_RULE)
        workspace = self._workspace()
        image = self._image()
        settings = Settings(
            image=self.values.get("IMAGE_NAME", ""),
            name=image or Reference("", ""),
            registry=registry,
            repository=f"{workspace}/{self._package(image, registry, workspace)}",
            tags=self._tags(image),
            credentials=self._credentials(),
            max_layer_size=self.parsed("MAX_LAYER_SIZE", parse_size),
            upload_timeout=self.parsed("UPLOAD_TIMEOUT", parse_duration),
            max_attempts=self.parsed("MAX_ATTEMPTS", parse_count),
            dry_run=self.parsed("DRY_RUN", parse_boolean),
            result_file=self.path("RESULT_FILE"),
            variables_file=self.path("BITBUCKET_PIPELINES_VARIABLES_PATH"),
            debug=self.parsed("DEBUG", parse_boolean),
            docker=self._docker(),
            uploader=self.parsed("UPLOADER", parse_choice(*UPLOADERS)),
            reuse_from=self._tag_list("REUSE_FROM") or (),
            image_archive=self.path("IMAGE_ARCHIVE"),
            clone_directory=self.path("BITBUCKET_CLONE_DIR"),
        )
        if settings.image_archive is not None and settings.uploader == "engine":
            self.problems.append(
                "UPLOADER is 'engine': the Engine does not have the image in IMAGE_ARCHIVE. Leave UPLOADER out."
            )
        if not self.problems and not is_path(settings.repository):
            self.wrong("PACKAGE_NAME", settings.repository, f"shorter: at most {REPOSITORY_MAXIMUM} characters")
        self._check_names()
        if self.problems:
            raise ConfigurationError(self.problems)
        return settings

    def _check_names(self) -> None:
        for name, right in near_misses(self.environment):
            self.problems.append(
                f"{name} has to be a string, not an array."
                if name == right
                else f"{name} is not a variable of this pipe. Did you mean {right}?"
            )

    def _docker(self) -> dict[str, str]:
        host = self.values.get("DOCKER_HOST", "")
        if host.startswith("ssh:"):
            self.problems.append(
                f"DOCKER_HOST is '{clean(host, lines=1)}': the pipe reaches Docker Engine by a socket (unix://…) or TCP"
                " (tcp://…), not by SSH. Forward the socket (`ssh -L /tmp/docker.sock:/var/run/docker.sock HOST`), and"
                " set DOCKER_HOST to it."
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
        return self.checked(name, workspace, is_component, f"a workspace's slug: {COMPONENT_RULE}")

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
            self.wrong("IMAGE_NAME", name, f"the name of an image; {error}")
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
            return self.checked("PACKAGE_NAME", given, is_path, f"a package's name: {COMPONENT_RULE}")
        if image is not None and not image.path:
            self.problems.append("PACKAGE_NAME is missing: it is required where IMAGE_NAME is an ID.")
        return image.path.rpartition("/")[2] if image is not None else ""

    def _tags(self, image: Reference | None) -> tuple[str, ...]:
        usual = (image.tag if image else "") or DEFAULT_TAG
        return self._tag_list("TAGS", f"push `{usual}`") or (usual,)

    def _tag_list(self, name: str, without: str | None = None) -> tuple[str, ...] | None:
        tags = self.items(name, without)
        for tag in tags or ():
            self.checked(name, tag, is_tag, f"made of tags of {TAG_RULE}{suggestion(tag)}")
        return tags

    def _credentials(self) -> Credentials:
        for username, token in CREDENTIALS:
            pair = self.credential(username), self.credential(token)
            if any(pair) and not all(pair):
                missing, there = (token, username) if pair[0] else (username, token)
                self.problems.append(f"{missing} is missing: {there} is set, and one needs the other.")
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
            missing += f"\n    If they are there already, the step does not have the values: set {account}."
        return missing
