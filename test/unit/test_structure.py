"""The shape of the code: short modules, and one name for one thing."""

import ast
from collections import Counter
from pathlib import Path

import pytest

PIPE = Path(__file__).parents[2] / "pipe"
MODULES = sorted(PIPE.rglob("*.py"))
LONGEST = 300
"""Lines of a module that does one thing."""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PIPE)))
def test_no_module_is_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_no_class_has_the_name_of_another() -> None:
    nodes = (node for path in MODULES for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = Counter(node.name for node in nodes if isinstance(node, ast.ClassDef))
    assert [name for name, count in names.items() if count > 1] == []
