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
KEYS = 10_000
"""Keys of one mapping, those of merged ones included."""
MERGED = 100
"""Mappings that are merged into another at once."""
_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
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
        """Read the file; the file `.env` beside it adds to the environment."""
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
        if image is not None and (not isinstance(image, str) or not image):
            self.problems.append(f"the image of service {shown(name)} is not a name")
            return ""
        filled = self._filled(image or "", f"the image of service {shown(name)}")
        # Compose takes a name that is empty, as of `${NAME-}`, for none.
        project = self._project(content) if filled == "" else ""
        return f"{project}-{name}" if project else filled or ""

    def _project(self, content: Mapping[str, Any]) -> str:
        """Return the name of the project, by the precedence of Compose; "" if it is invalid, which is recorded."""
        directory = Path(os.path.abspath(self._path)).parent.name  # noqa: PTH100 # Compose follows no symbolic link
        usual = re.sub(r"[^a-z0-9_-]", "", directory.lower()).lstrip("_-")
        given = self._interpolation.values.get("COMPOSE_PROJECT_NAME")
        if not given and content.get("name") is not None:
            given = self._filled(str(content["name"]), "its `name`")
            if given is None:
                return ""
        project = given or usual
        if _PROJECT.fullmatch(project):
            return project
        problem = f"{shown(project)} is not the name of a project: set `name` in the file"
        if problem not in self.problems:
            self.problems.append(problem)
        return ""

    def _filled(self, text: str, what: str) -> str | None:
        """Return a text with its variables filled; None if that is impossible, which is recorded."""
        try:
            return self._interpolation.fill(text)
        except ValueError as error:
            problem = f"{what}: {error}"
            if problem not in self.problems:
                self.problems.append(problem)
            return None


def _may_be_built(service: object) -> bool:
    return isinstance(service, dict) and (service.get("build") is not None or bool(service.get("extends")))


class _Loader(yaml.SafeLoader):
    """Reads tags such as `!reset` as plain values, and keys as texts: `on` is a name, not `true`."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 # as in the base class
        """Reject keys that occur twice, as Compose does."""
        keys: set[str] = set()
        for key in (key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"):
            if key in keys:
                raise _rejected(f"{shown(key)} occurs twice", node)
            keys.add(key)
        self.flatten_mapping(node)
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                key.tag = _TEXT
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge mappings (`<<`), but not so many that a small file fills the memory."""
        for key, value in node.value:
            if key.tag == _MERGE and isinstance(value, yaml.SequenceNode) and len(value.value) > MERGED:
                raise _rejected(f"more than {MERGED} mappings are merged", node)
        super().flatten_mapping(node)
        if len(node.value) > KEYS:
            raise _rejected(f"a mapping has more than {KEYS} keys", node)


def _rejected(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _untagged(loader: _Loader, _suffix: str, node: yaml.Node) -> object:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    return loader.construct_sequence(node, deep=True) if isinstance(node, yaml.SequenceNode) else node.value


yaml.add_multi_constructor("!", _untagged, _Loader)
for _tag in ("binary", "timestamp"):
    # Compose reads a date as a text, also an impossible one.
    yaml.add_constructor(f"tag:yaml.org,2002:{_tag}", _Loader.construct_yaml_str, _Loader)


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
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, LookupError) as error:
        # LookupError: PyYAML on `!!int ""`.
        raise ValueError("it is not valid YAML") from error
