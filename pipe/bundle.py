"""The byte code of everything that a run imports, in one file of the image.

The image's build writes it. A run imports more than 300 modules, and searching the folders for each and reading its
file takes a sixth of the start. A module that is not in the bundle is imported from its file.
"""

import contextlib
import marshal
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from importlib.machinery import ModuleSpec, SourcelessFileLoader
from importlib.util import MAGIC_NUMBER, spec_from_file_location
from types import CodeType, ModuleType

FOLDER = os.path.dirname(__file__)  # noqa: PTH120 # a run that starts has not imported pathlib yet
"""In the package: a version of it that is mounted over this one hides the bundle, too."""
ENTRIES = ("pipe.main", "pipe.wiring", "pipe.engine.client")
"""These import all that a run needs if the registry has the image."""
_INDEX, _CODE = "bundle.index", "bundle.code"


def install(folder: str = FOLDER) -> None:
    """Import from the bundle what it contains; without a whole one that this Python has written, do nothing."""
    with contextlib.suppress(OSError, EOFError, TypeError, ValueError):
        sys.meta_path.insert(0, _BundleFinder(folder))


class _BundleFinder:
    """Finds the modules of a bundle, each with the attributes that it has without one."""

    def __init__(self, folder: str) -> None:
        with open(os.path.join(folder, _INDEX), "rb") as file:  # noqa: PTH118, PTH123
            index = file.read()
        if not index.startswith(MAGIC_NUMBER):
            raise ValueError
        # As trustworthy as the code beside it.
        size, self._modules = marshal.loads(index[len(MAGIC_NUMBER) :])  # noqa: S302
        code = os.path.join(folder, _CODE)  # noqa: PTH118
        if os.stat(code).st_size != size:  # noqa: PTH116
            raise ValueError
        self._code = os.open(code, os.O_RDONLY)

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._modules:
            return None
        offset, size, origin, locations = self._modules[fullname]
        loader = _BundleLoader(fullname, origin, partial(os.pread, self._code, size, offset))
        return spec_from_file_location(fullname, origin, loader=loader, submodule_search_locations=locations)


class _BundleLoader(SourcelessFileLoader):
    """Loads a module from a bundle; its sources and resources stay in the files."""

    def __init__(self, fullname: str, path: str, read: Callable[[], bytes]) -> None:
        super().__init__(fullname, path)
        self._read = read

    def get_code(self, _fullname: str) -> CodeType:
        code: CodeType = marshal.loads(self._read())  # noqa: S302
        return code


def write(folder: str, names: Iterable[str]) -> None:
    """Write a bundle of modules, of all that they import, and of all that is loaded already."""
    import importlib  # noqa: PLC0415

    for name in names:
        importlib.import_module(name)
    modules = {}
    with open(os.path.join(folder, _CODE), "wb") as file:  # noqa: PTH118, PTH123
        for spec, code in _loaded():
            modules[spec.name] = (
                file.tell(),
                file.write(marshal.dumps(code)),
                spec.origin,
                spec.submodule_search_locations,
            )
        size = file.tell()
    with open(os.path.join(folder, _INDEX), "wb") as file:  # noqa: PTH118, PTH123
        file.write(MAGIC_NUMBER + marshal.dumps((size, modules)))


def _loaded() -> Iterator[tuple[ModuleSpec, CodeType]]:
    """Yield the modules that were loaded from files of Python code."""
    from importlib.machinery import SourceFileLoader  # noqa: PLC0415

    for name, module in sorted(sys.modules.items()):
        spec = module.__spec__
        # An alias, such as `os.path`, has the name of another module.
        if spec and spec.name == name and isinstance(spec.loader, SourceFileLoader | SourcelessFileLoader):
            code = spec.loader.get_code(name)
            if code is not None:
                yield spec, code


if __name__ == "__main__":
    write(FOLDER, ENTRIES)
