"""The options that name a pipe."""

import sys
from pathlib import Path

import pytest
from bench.contenders import Pipe, pipe_of


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "pipe").mkdir()
    (tmp_path / "pipe" / "__main__.py").touch()
    return tmp_path


def test_a_checkout_runs_with_its_own_python_if_it_has_one(checkout: Path) -> None:
    assert pipe_of("other", str(checkout)) == Pipe("other", command=(sys.executable, "-m", "pipe"), folder=checkout)
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert pipe_of("other", str(checkout)) == Pipe("other", command=(str(python), "-m", "pipe"), folder=checkout)


def test_everything_else_is_a_command() -> None:
    pipe = pipe_of("other", "env 'A=b c' python -m pipe")
    assert pipe == Pipe("other", command=("env", "A=b c", "python", "-m", "pipe"))


@pytest.mark.parametrize("how", [pytest.param(" ", id="empty"), pytest.param("/", id="folder-without-a-pipe")])
def test_what_names_no_pipe_is_rejected(how: str) -> None:
    with pytest.raises(ValueError, match=r"no package pipe|is needed"):
        pipe_of("other", how)
