"""The variables that users set, with their defaults: the one list that code and documentation share (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass

REGISTRY = "crg.apkg.io"
"""Host of Bitbucket's container registry; source: Atlassian, "Working with the container registry"."""

MAX_LAYER_SIZE = "32GB"
"""Of a layer as the registry stores it; source: the same page. Decimal, the smaller reading of what the page says."""
UPLOAD_TIMEOUT = "7m"
"""Of one layer's upload: a registry has no notion of a whole push, only of a blob's upload."""

MAX_ATTEMPTS = "3"
"""Pushes tried, so that a hiccup of the registry does not fail a step, but a breakdown ends soon."""
CREDENTIALS = (
    ("BITBUCKET_PACKAGES_USERNAME", "BITBUCKET_PACKAGES_TOKEN"),
    ("ATLASSIAN_ACCOUNT_EMAIL", "ATLASSIAN_API_TOKEN"),
)
"""Pairs of variables, the first complete one counts; source: Atlassian's page, and `resolve_auth` of
bitbucket-pipes-toolkit for the names outside Pipelines."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable that users set.

    Attributes:
        name: Its name in the environment.
        default: What counts where it is not set, as README says it; None where nothing does.
        context: Whether it is usually taken from the step's own environment.
        secret: Whether its value must never be shown.
    """

    name: str
    default: str | None = None
    context: bool = False
    secret: bool = False


VARIABLES = (
    Variable("IMAGE_NAME"),
    Variable("TAGS", "the tag of `IMAGE_NAME`, else `latest`"),
    Variable("PACKAGE_NAME", "what follows `<REGISTRY>/<WORKSPACE>/` in `IMAGE_NAME`, else its last path component"),
    Variable("WORKSPACE", "$BITBUCKET_WORKSPACE", context=True),
    Variable("REGISTRY", REGISTRY),
    Variable("BITBUCKET_PACKAGES_USERNAME", "$BITBUCKET_PACKAGES_USERNAME", context=True),
    Variable("BITBUCKET_PACKAGES_TOKEN", "$BITBUCKET_PACKAGES_TOKEN", context=True, secret=True),
    Variable("ATLASSIAN_ACCOUNT_EMAIL"),
    Variable("ATLASSIAN_API_TOKEN", secret=True),
    Variable("MAX_LAYER_SIZE", MAX_LAYER_SIZE),
    Variable("UPLOAD_TIMEOUT", UPLOAD_TIMEOUT),
    Variable("MAX_ATTEMPTS", MAX_ATTEMPTS),
    Variable("UPLOADER", "auto"),
    Variable("REUSE_FROM"),
    Variable("IMAGE_ARCHIVE"),
    Variable("DRY_RUN", "false"),
    Variable("RESULT_FILE"),
    Variable("DEBUG", "false"),
)
"""Every variable that users may set, in the order of README."""


def secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Find what must never be shown, also where the rest of the environment is not valid.

    Args:
        environment: Such as `os.environ`.

    Returns:
        The values of secret variables, as given and without surrounding white space.
    """
    values = [environment.get(variable.name, "") for variable in VARIABLES if variable.secret]
    return tuple(dict.fromkeys(text for value in values for text in (value, value.strip()) if text))
