"""The check of the English: what it finds in which text, and what it lets pass."""

import subprocess
import sys
from pathlib import Path

import pytest
from setup import words

SCRIPT = Path(words.__file__)


def hits(tmp_path: Path, text: str, name: str = "module.py") -> list[str]:
    """Return the hits in a file, without its path."""
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return [hit.removeprefix(f"{path}:") for hit in words.check(path)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param('"""Tell what came."""', ["1: Tell -> report, return, show"], id="docstring"),
        pytest.param("x = 1\n# It has to be so.\n", ["2: has to -> must"], id="comment"),
        pytest.param("# It has\n# to be so.\n", ["1: has to -> must"], id="comment-of-two-lines"),
        pytest.param(
            '"""One.\n\nNobody, meanwhile.\n"""',
            ["3: Nobody -> nothing, no …, if unknown", "3: meanwhile -> during the push, at the same time"],
            id="two-on-one-line",
        ),
        pytest.param(
            'x = f"it broke off {y}"', ["1: broke off -> lost the connection, closed, interrupted"], id="f-string"
        ),
        pytest.param('raise E("It has" " to be.")', ["1: has to -> must"], id="strings-side-by-side"),
        pytest.param('x = ["has", "to"]', [], id="strings-in-a-list"),
        pytest.param("told = nobody.mind(where=1)", [], id="code"),
        pytest.param('x = "told-off and by-itself"', [], id="parts-of-compounds"),
        pytest.param('"""None where there is none."""', ["1: where -> if"], id="where-for-if"),
        pytest.param('"""Continue where it stopped, from where the file was written."""', [], id="where-for-a-place"),
        pytest.param('"""The answer is to the point; it had to wait."""', [], id="other-uses"),
        pytest.param('"""Return the size."""', [], id="plain"),
    ],
)
def test_python(tmp_path: Path, text: str, found: list[str]) -> None:
    assert hits(tmp_path, text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("It is to be.\n", ["1: is to -> must, will"], id="text"),
        pytest.param("One `told` and\n```\ntold\n```\ntold\n", ["5: told -> report, return, show"], id="code"),
        pytest.param("[Read](docs/of-its-own.md#told)\n", [], id="link"),
    ],
)
def test_markdown(tmp_path: Path, text: str, found: list[str]) -> None:
    assert hits(tmp_path, text, "page.md") == found


@pytest.mark.parametrize(
    ("text", "code"), [pytest.param("Fine.\n", 0, id="nothing-found"), pytest.param("Meanwhile.\n", 1, id="found")]
)
def test_the_exit_code_fails_the_build(tmp_path: Path, text: str, code: int) -> None:
    (tmp_path / "page.md").write_text(text, "utf-8")
    command = [sys.executable, str(SCRIPT), str(tmp_path / "page.md")]
    run = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert run.returncode == code
    assert ("page.md:1: Meanwhile -> " in run.stderr) is (code == 1)
