"""The images that `docker compose build` builds, by the names that it gives them.

Source: compose-spec, "Interpolation" and "Version and name"; compose-go, `loader`; compose, `GetImageNameOrDefault`.
"""

import os
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from pipe.config.interpolation import Interpolation, read_env_file
from pipe.config.values import is_variable, shown
from pipe.text import clean, listed

SIZE = 1024 * 1024
"""Bytes of the largest compose file that is read."""
_INSTEAD = "name the images in IMAGE_NAME instead"
_UNRESOLVED = ("extends", "profiles")
"""Keys of a service that decide, together with other files and options, what is built."""
_PROJECT = re.compile(r"[a-z0-9][a-z0-9_-]*")


class ComposeFile:
    """A compose file.

    Attributes:
        images: The names of the images of services with `build`, without duplicates.
        problems: Clauses about what makes the file unusable; `images` is complete if there are none.
    """

    def __init__(self, path: Path, environment: Mapping[str, str]) -> None:
        """Read the file.

        Args:
            path: The file.
            environment: Such as `os.environ`; the file `.env` beside the compose file adds to it.
        """
        self.images: tuple[str, ...] = ()
        self.problems: list[str] = []
        self._path = path
        # Pipelines passes a reference to a variable that is unset as it stands.
        given = {name: value for name, value in environment.items() if not is_variable(value)}
        self._interpolation = Interpolation(read_env_file(path.parent / ".env", given) | given)
        try:
            self._read(_parsed(path))
        except OSError as error:
            self.problems.append(f"it cannot be read: {error.strerror}")
        except ValueError as error:
            self.problems.append(str(error))

    def _read(self, content: object) -> None:
        services = content.get("services") if isinstance(content, dict) else None
        if not isinstance(content, dict) or not isinstance(services, dict) or not services:
            self.problems.append("it has no services")
            return
        if content.get("include"):
            self.problems.append(f"it has `include`, which the pipe does not follow: {_INSTEAD}")
        built = {str(name): each for name, each in services.items() if _may_be_built(each)}
        if not built:
            self.problems.append("none of its services has `build`")
        names = [self._image(name, service, content) for name, service in built.items()]
        self.images = tuple(dict.fromkeys(filter(None, names)))

    def _image(self, name: str, service: Mapping[str, Any], content: Mapping[str, Any]) -> str:
        """Return the name of a service's image; "" if it has none, which is recorded."""
        used = [f"`{key}`" for key in _UNRESOLVED if service.get(key)]
        if used:
            self.problems.append(
                f"service {shown(name)} has {listed(used)}, which the pipe does not follow: {_INSTEAD}"
            )
            return ""
        image = service.get("image")
        if image is None:
            project = self._project(content)
            return f"{project}-{name}" if project else ""
        if not isinstance(image, str) or not image:
            self.problems.append(f"the image of service {shown(name)} is not a name")
            return ""
        return self._filled(image, f"the image of service {shown(name)}")

    def _project(self, content: Mapping[str, Any]) -> str:
        """Return the name of the project, by the precedence of Compose; "" if it is invalid, which is recorded."""
        directory = Path(os.path.abspath(self._path)).parent.name  # noqa: PTH100 # Compose follows no symbolic link
        usual = re.sub(r"[^a-z0-9_-]", "", directory.lower()).lstrip("_-")
        given = self._interpolation.values.get("COMPOSE_PROJECT_NAME")
        if not given and isinstance(content.get("name"), str):
            given = self._filled(content["name"], "its `name`")
            if not given:
                return ""
        project = given or usual
        if _PROJECT.fullmatch(project):
            return project
        problem = f"{shown(project)} is not the name of a project: set `name` in the file"
        if problem not in self.problems:
            self.problems.append(problem)
        return ""

    def _filled(self, text: str, what: str) -> str:
        try:
            return self._interpolation.fill(text)
        except ValueError as error:
            problem = f"{what}: {error}"
            if problem not in self.problems:
                self.problems.append(problem)
            return ""


def _may_be_built(service: object) -> bool:
    return isinstance(service, dict) and bool(service.get("build") or service.get("extends"))


class _Loader(yaml.SafeLoader):
    """Reads tags such as `!reset` as plain values."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 # as in the base class
        """Reject keys that occur twice, as Compose does."""
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"{shown(twice)} occurs twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _untagged(loader: _Loader, _suffix: str, node: yaml.Node) -> object:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    return loader.construct_sequence(node, deep=True) if isinstance(node, yaml.SequenceNode) else node.value


yaml.add_multi_constructor("!", _untagged, _Loader)


def _parsed(path: Path) -> object:
    """Return the content of a YAML file.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not a YAML file; the message is a clause.
    """
    with path.open("rb") as file:
        data = file.read(SIZE + 1)
    if len(data) > SIZE:
        raise ValueError("it is larger than a compose file can be")
    try:
        return yaml.load(data, _Loader)  # noqa: S506 # a safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"it is not valid YAML: {place}{clean(error.problem or 'unreadable', lines=1)}") from error
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        raise ValueError("it is not valid YAML") from error
