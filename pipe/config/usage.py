"""The text of `--help`."""

from collections.abc import Iterator

from pipe.config.variables import VARIABLES, Variable

_INTRODUCTION = """\
Pushes the container image that a Bitbucket Pipelines step built to Bitbucket's container
registry, and verifies that it arrived.

It is configured by environment variables; the only arguments are --help and --version."""
_EXAMPLE = """\
Example, in the script of a step that has built the image `my-image`:

  - pipe: docker://{image}
    variables:
      IMAGE_NAME: my-image
      TAGS: '1.0 latest'
      BITBUCKET_PACKAGES_USERNAME: $BITBUCKET_PACKAGES_USERNAME
      BITBUCKET_PACKAGES_TOKEN: $BITBUCKET_PACKAGES_TOKEN"""


def usage(image: str) -> str:
    """Return the usage, in lines of at most 100 characters; `image` is the pipe's, as a step names it."""
    variables = "\n".join(line for variable in VARIABLES for line in _lines(variable))
    return f"{_INTRODUCTION}\n\nVariables:\n\n{variables}\n\n{_EXAMPLE.format(image=image)}"


def _lines(variable: Variable) -> Iterator[str]:
    yield f"  {variable.name}" + (" (required)" if variable.required else "")
    yield f"      {_plain(variable.usage)}."
    if variable.default:
        yield f"      Default: {_plain(variable.default)}."


def _plain(text: str) -> str:
    return text.replace("`", "")
