"""Reads the settings of a run from the environment, and reports every problem together."""

from collections.abc import Mapping
from datetime import date

from pipe.config.near_misses import near_misses
from pipe.config.promotion_reader import PromotionReader
from pipe.config.request_reader import RequestReader
from pipe.config.settings import Credentials, ReuseFrom, Settings
from pipe.config.tag_reader import TagReader
from pipe.config.values import TOKEN_MINIMUM, Values, parse_boolean, parse_choice, parse_count
from pipe.config.variables import COMPRESSIONS, CREDENTIALS, IF_TAG_EXISTS, SPLIT_AUTO, UPLOADERS, default
from pipe.errors import ConfigurationError
from pipe.oci.reference import ADDRESS_RULE, COMPONENT_RULE, REPOSITORY_MAXIMUM, is_address, is_component, is_path
from pipe.text import clean
from pipe.units import parse_duration, parse_size


def read_settings(environment: Mapping[str, str], today: date) -> Settings:
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
        self._tags = TagReader(self, today)

    def settings(self) -> Settings:
        registry = self.values.get("REGISTRY", default("REGISTRY"))
        self.check("REGISTRY", registry, is_address, ADDRESS_RULE)
        workspace = self._workspace()
        promotion = PromotionReader(self, self._tags, registry, workspace)
        reader = promotion if promotion.variable else RequestReader(self, self._tags, registry, workspace)
        requests = reader.requests()
        clone_directory = self.path("BITBUCKET_CLONE_DIR")
        split_size, split_auto = self._split_layers()
        settings = Settings(
            requests=requests,
            registry=registry,
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
            reuse_from=self._reuse_from(workspace),
            image_archive=self.path("IMAGE_ARCHIVE", clone_directory),
            if_tag_exists=self.parse("IF_TAG_EXISTS", parse_choice(*IF_TAG_EXISTS)),
            compression=self.parse("COMPRESSION", parse_choice(*COMPRESSIONS)),
            compress_plain="COMPRESSION" in self.values,
            referrers=self.parse("REFERRERS", parse_boolean),
            split_size=split_size,
            split_auto=split_auto,
            dropped_tags=self._tags.dropped,
        )
        if settings.image_archive is None and settings.referrers:
            self.problems.append(
                "REFERRERS requires IMAGE_ARCHIVE, an OCI layout: Docker Engine does not keep what refers to an image."
            )
        if split_size or split_auto:
            self._check_split(settings)
        if settings.image_archive is not None:
            self._check_archive(settings)
        if not self.problems:
            for repository in (each.repository for each in requests if not is_path(each.repository)):
                self.fail("PACKAGE_NAME", repository, f"shorter (at most {REPOSITORY_MAXIMUM} characters)")
        self._check_names()
        if self.problems:
            raise ConfigurationError(self.problems)
        return settings

    def _check_archive(self, settings: Settings) -> None:
        if settings.uploader == "engine":
            self.problems.append("UPLOADER=engine cannot be combined with IMAGE_ARCHIVE: leave UPLOADER out.")
        if "COMPOSE_FILE" in self.values:
            self.problems.append(
                "COMPOSE_FILE cannot be combined with IMAGE_ARCHIVE: it names images in Docker Engine."
            )

    def _check_split(self, settings: Settings) -> None:
        if settings.uploader == "engine":
            self.problems.append("UPLOADER=engine cannot be combined with SPLIT_LAYERS: leave UPLOADER out.")
        if settings.referrers:
            self.problems.append(
                "REFERRERS cannot be combined with SPLIT_LAYERS: what refers to the image names its digest before the"
                " split."
            )

    def _split_layers(self) -> tuple[int | None, bool]:
        """Return the size of a part, None without one, and whether only layers that exceed a limit are split."""
        text = self.values.get("SPLIT_LAYERS", "").strip()
        if not text or text.lower() == SPLIT_AUTO:
            return None, bool(text)
        try:
            return parse_size(text), False
        except ValueError as error:
            self.fail("SPLIT_LAYERS", text, f"{SPLIT_AUTO}, or {error}")
            return None, False

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

    def _reuse_from(self, workspace: str) -> tuple[ReuseFrom, ...]:
        found = []
        for item in self.items("REUSE_FROM") or ():
            package, colon, tag = item.rpartition(":")
            if colon and not is_path(package):
                self.fail("REUSE_FROM", item, f"a tag or `package:tag` ({COMPONENT_RULE})")
            elif self._tags.check("REUSE_FROM", tag):
                found.append(ReuseFrom(f"{workspace}/{package}" if colon else "", tag))
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
