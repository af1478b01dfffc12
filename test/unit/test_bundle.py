"""The bundle of byte code, written and imported from by Pythons that have loaded nothing else."""

import marshal
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import MAGIC_NUMBER
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ATTRIBUTES = (
    "for each in (shop, shop.till): print(each.__name__, each.__file__, each.__cached__, each.__package__, "
    "getattr(each, '__path__', None), each.__spec__.origin, each.__spec__.parent, each.__spec__.has_location)"
)
OTHER_NUMBER = bytes(each ^ 1 for each in MAGIC_NUMBER)
INSTALL = "import pipe.bundle; pipe.bundle.install('.')"


def python(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (folder, ROOT)))},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def printed(folder: Path, code: str) -> str:
    run = python(folder, code)
    assert not run.stderr
    return run.stdout.strip()


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a package and a bundle of two of its modules, whose files have changed since."""
    folder = tmp_path_factory.mktemp("bundled")
    shop = folder / "shop"
    shop.mkdir()
    (shop / "__init__.py").write_text("FROM = 'bundle'\n", encoding="utf-8")
    (shop / "till.py").write_text("FROM = 'bundle'\ndef fail():\n    raise LookupError\n", encoding="utf-8")
    (shop / "cellar.py").write_text("FROM = 'file'\n", encoding="utf-8")
    (shop / "goods.txt").write_text("tea", encoding="utf-8")
    printed(folder, "import pipe.bundle; pipe.bundle.write('.', ['shop.till'])")
    for name in ("__init__.py", "till.py"):
        text = (shop / name).read_text(encoding="utf-8")
        (shop / name).write_text(text.replace("bundle", "file"), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param("import shop; print(shop.FROM)", "bundle", id="package"),
        pytest.param("from shop import till; print(till.FROM)", "bundle", id="module"),
        pytest.param("import shop.cellar; print(shop.cellar.FROM)", "file", id="not-in-the-bundle"),
        pytest.param(
            "from importlib.resources import files; print((files('shop') / 'goods.txt').read_text())",
            "tea",
            id="resources",
        ),
        pytest.param(
            "import pkgutil, shop; print(*(each.name for each in pkgutil.iter_modules(shop.__path__)))",
            "cellar till",
            id="search",
        ),
    ],
)
def test_what_is_imported(bundled: Path, code: str, expected: str) -> None:
    assert printed(bundled, f"{INSTALL}; {code}") == expected


def test_a_module_has_the_attributes_that_it_has_without_a_bundle(bundled: Path) -> None:
    code = f"import shop.till\n{ATTRIBUTES}"
    assert printed(bundled, f"{INSTALL}; {code}") == printed(bundled, code)


def test_a_traceback_shows_sources(bundled: Path) -> None:
    error = python(bundled, f"{INSTALL}; import shop.till; shop.till.fail()").stderr
    assert f'File "{bundled}/shop/till.py", line 3, in fail\n    raise LookupError\n' in error


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        pytest.param("bundle.index", lambda _: None, id="no-index"),
        pytest.param("bundle.code", lambda _: None, id="no-code"),
        pytest.param("bundle.index", lambda _: b"", id="empty-index"),
        pytest.param("bundle.index", lambda data: data[:-1], id="truncated-index"),
        pytest.param("bundle.index", lambda _: b"no index", id="other-index"),
        pytest.param("bundle.index", lambda data: MAGIC_NUMBER + marshal.dumps(len(data)), id="other-value"),
        pytest.param("bundle.index", lambda data: OTHER_NUMBER + data[len(MAGIC_NUMBER) :], id="another-python"),
        pytest.param("bundle.code", lambda data: data[:-1], id="truncated-code"),
        pytest.param("bundle.code", lambda data: data + b"\0", id="other-code"),
    ],
)
def test_without_a_whole_bundle_of_this_python_files_are_imported(
    bundled: Path, tmp_path: Path, name: str, damage: Callable[[bytes], bytes | None]
) -> None:
    for path in bundled.glob("bundle.*"):
        data = path.read_bytes()
        found = damage(data) if path.name == name else data
        if found is not None:
            (tmp_path / path.name).write_bytes(found)
    code = f"import pipe.bundle; pipe.bundle.install({str(tmp_path)!r}); import shop.till; print(shop.FROM)"
    assert printed(bundled, code) == "file"
