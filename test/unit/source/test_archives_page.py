"""docs/archives.md says what happens: every form that can be made here is read, and its row compared."""

import re
from pathlib import Path

import pytest
from unit.source.archives import Log, opened
from unit.source.test_forms import FORMS, REFUSED

from pipe.errors import ArchiveError
from pipe.oci.config import CONFIG_SIZE
from pipe.source.documents import DOCUMENT

PAGE = (Path(__file__).parents[3] / "docs/archives.md").read_text("utf-8")
ROW = re.compile(r"^\| .+ \| .*\| .+ \| (?P<outcome>.+) \| (?P<test>[\w-]+) \|$", re.MULTILINE)
ROWS = {match["test"]: match["outcome"] for match in ROW.finditer(PAGE)}
BY_OTHER_NAMES = {"docker-export-in-a-directory", "config-over-the-limit", "schema-1-in-a-dir"}
BY_OTHER_NAMES |= {"neither-form-is-whole", "one-root-of-sha512"}
"""Refused inputs that no tool writes."""


def test_every_form_has_a_row() -> None:
    assert {*FORMS, *REFUSED} - BY_OTHER_NAMES <= {*ROWS}


@pytest.mark.parametrize("name", FORMS)
def test_the_row_of_a_form_is_true(tmp_path: Path, name: str) -> None:
    form, log = FORMS[name](), Log()
    held = opened(tmp_path, form.data, log=log)
    outcome = "makes the manifest" if not held.manifests else "byte for byte"
    if any("does not contain" in line for line in log.lines):
        outcome = "leaves out platforms"
    if any("stay behind" in line for line in log.lines):
        outcome += ", without the signatures"
    assert ROWS[name] == outcome


@pytest.mark.parametrize("name", sorted({*REFUSED} - BY_OTHER_NAMES))
def test_the_row_of_a_refusal_is_true(tmp_path: Path, name: str) -> None:
    data, _, fix = REFUSED[name]
    with pytest.raises(ArchiveError) as raised:
        opened(tmp_path, data)
    assert ROWS[name].startswith("refuses: ")
    assert fix in raised.value.fix


def test_limits_are_those_of_the_code() -> None:
    assert f"{CONFIG_SIZE >> 20} MiB for a configuration, {DOCUMENT >> 20} MiB for a manifest" in PAGE
