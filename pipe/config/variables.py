"""The variables that users set, with their defaults: the list that the code, `--help` and README share."""

import re
from collections.abc import Mapping
from typing import NamedTuple

DEFAULT_TAG = "latest"
"""The tag to push if neither TAGS nor IMAGE_NAME names one, as with `docker push`."""
CREDENTIALS = (
    ("BITBUCKET_PACKAGES_USERNAME", "BITBUCKET_PACKAGES_TOKEN"),
    ("ATLASSIAN_ACCOUNT_EMAIL", "ATLASSIAN_API_TOKEN"),
)
"""Pairs of variables; the first complete pair takes precedence. Source: Atlassian's page, and `resolve_auth` of
bitbucket-pipes-toolkit for the names outside Pipelines."""
UPLOADERS = ("auto", "engine", "pipe")
IF_TAG_EXISTS = ("overwrite", "skip", "fail")
COMPRESSIONS = ("auto", "fast", "small", "zstd")
SPLIT_AUTO = "auto"


class Variable(NamedTuple):
    """A variable that users set.

    Attributes:
        name: Its name in the environment.
        usage: What it is for; the row in README begins with these words.
        default: The default: a value, or a description of a computed one; None if there is no default.
        context: Whether it is usually taken from the step's environment.
        secret: Whether its value must never be shown.
        required: Whether the push requires it.
        array: Whether Pipelines can pass it as an array: NAME_COUNT, NAME_0, NAME_1 …
    """

    name: str
    usage: str
    default: str | None = None
    context: bool = False
    secret: bool = False
    required: bool = False
    array: bool = False


VARIABLES = (
    Variable("IMAGE_NAME", "The image or images, by any of their names in Docker Engine", required=True, array=True),
    Variable("TAGS", "The tags to push", f"the tag of `IMAGE_NAME`, else `{DEFAULT_TAG}`", array=True),
    Variable(
        "PACKAGE_NAME",
        "The package to push to",
        "the part of `IMAGE_NAME` after `<REGISTRY>/<WORKSPACE>/`, else its last path component",
        array=True,
    ),
    Variable("WORKSPACE", "The workspace's slug", "$BITBUCKET_WORKSPACE", context=True),
    # Source: Atlassian, "Working with the container registry".
    Variable("REGISTRY", "The registry's host, with an optional port", "crg.apkg.io"),
    Variable(
        "BITBUCKET_PACKAGES_USERNAME", "The user name for the registry", "$BITBUCKET_PACKAGES_USERNAME", context=True
    ),
    Variable(
        "BITBUCKET_PACKAGES_TOKEN", "The token for the registry", "$BITBUCKET_PACKAGES_TOKEN", context=True, secret=True
    ),
    Variable("ATLASSIAN_ACCOUNT_EMAIL", "The e-mail address of an Atlassian account"),
    Variable("ATLASSIAN_API_TOKEN", "That account's API token", secret=True),
    # Of a layer as the registry stores it; source: the same page. Decimal, the smaller reading of "32 GB".
    Variable("MAX_LAYER_SIZE", "The largest layer to push", "32GB"),
    # Of one layer's upload, since a registry sees only blob uploads, not a whole push; source: the same page.
    Variable("UPLOAD_TIMEOUT", "How long the upload of one layer may take", "7m"),
    # A short failure of the registry does not fail the step, and a long one ends it soon.
    Variable("MAX_ATTEMPTS", "Maximum number of attempts", "3"),
    Variable("IF_TAG_EXISTS", "If a tag points to another image: `overwrite`, `skip` or `fail`", IF_TAG_EXISTS[0]),
    Variable("UPLOADER", "Who uploads: `engine` (Docker Engine), `pipe` (the pipe itself), or `auto`", UPLOADERS[0]),
    Variable("COMPRESSION", "How the pipe compresses layers: `auto`, `fast`, `small` or `zstd`", COMPRESSIONS[0]),
    Variable("SPLIT_LAYERS", "Split large layers"),
    Variable("REUSE_FROM", "More tags whose layers are reused: `tag`, or `other-package:tag`", array=True),
    Variable("IMAGE_ARCHIVE", "A file or directory to push instead of an image in Docker Engine"),
    # As regctl names it; oras has `--include-referrers`.
    Variable("REFERRERS", "Also push the artifacts of `IMAGE_ARCHIVE` that refer to the image", "false"),
    Variable(
        "COMPOSE_FILE", "A compose file instead of `IMAGE_NAME`: pushes the images of all services that have `build`"
    ),
    Variable("PROMOTE", "The tag or digest of an image in the registry, which gets the tags in `TAGS`"),
    Variable("PLATFORM_TAGS", "Tags of images for one platform each, to be joined under `TAGS`", array=True),
    Variable(
        "FROM_PACKAGE", "The package that has the image of `PROMOTE` or `PLATFORM_TAGS`", "the package that gets `TAGS`"
    ),
    Variable("DRY_RUN", "Check everything, but upload nothing", "false"),
    Variable("RESULT_FILE", "A file to write the result to, as JSON"),
    Variable("DEBUG", "Turn on extra debug information", "false"),
)
"""Every variable, in the order of README."""

_DEFAULTS = {variable.name: variable.default for variable in VARIABLES}
_ARRAY_ITEM = r"(?i)(.+)_(?:COUNT|[0-9]{1,9})"


def default(name: str) -> str:
    """Return the default of a variable, "" if it has none."""
    return _DEFAULTS[name] or ""


def base_name(name: str) -> str:
    """Return the name of the array that a variable such as NAME_COUNT or NAME_0 belongs to, else the name itself."""
    match = re.fullmatch(_ARRAY_ITEM, name)
    return match[1] if match else name


def secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values of secret variables, as given and without surrounding white space, without validation."""
    values = [environment.get(variable.name, "") for variable in VARIABLES if variable.secret]
    return tuple(dict.fromkeys(text for value in values for text in (value, value.strip()) if text))
