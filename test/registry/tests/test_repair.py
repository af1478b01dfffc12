"""What is put right after Distribution was killed while it wrote."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from registry.gateway import layout
from registry.gateway.repair import repair

if TYPE_CHECKING:
    from pathlib import Path

REPOSITORY = "ws/app"
CONTENT = b'{"a": "manifest"}'
DIGEST = f"sha256:{sha256(CONTENT).hexdigest()}"
OLDER = f"sha256:{'1' * 64}"


def written(file: Path, text: str, age: float = 0) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="ascii")
    moment = file.stat().st_mtime - age
    os.utime(file, (moment, moment))
    return file


@pytest.mark.parametrize("folder", [layout.layer_link_folder, layout.manifest_link_folder])
def test_an_empty_link_says_again_what_its_folder_is_named(tmp_path: Path, folder: object) -> None:
    assert callable(folder)
    link = written(folder(tmp_path, REPOSITORY, DIGEST) / "link", "")
    whole = written(folder(tmp_path, REPOSITORY, OLDER) / "link", OLDER)
    repair(tmp_path)
    assert (link.read_text(), whole.read_text()) == (DIGEST, OLDER)


def test_a_tag_names_again_what_was_last_put_under_it(tmp_path: Path) -> None:
    tag = layout.tag_folder(tmp_path, REPOSITORY, "latest")
    written(tag / "index" / OLDER.replace(":", "/") / "link", OLDER, age=60)
    written(tag / "index" / DIGEST.replace(":", "/") / "link", "")
    current = written(layout.tag_link(tmp_path, REPOSITORY, "latest"), "")
    repair(tmp_path)
    assert current.read_text() == DIGEST


def test_a_tag_that_never_named_anything_is_not_there(tmp_path: Path) -> None:
    current = written(layout.tag_link(tmp_path, REPOSITORY, "latest"), "")
    repair(tmp_path)
    assert not current.exists()


@pytest.mark.parametrize(
    ("content", "age", "stays"),
    [
        pytest.param(CONTENT, 0, True, id="whole"),
        pytest.param(CONTENT[:5], 0, False, id="a part"),
        pytest.param(b"", 0, False, id="empty"),
        pytest.param(CONTENT[:5], 3600, True, id="not looked at, since it is old"),
    ],
)
def test_a_manifest_that_is_not_whole_goes(tmp_path: Path, content: bytes, age: float, stays: bool) -> None:
    data = written(layout.blob_data(tmp_path, DIGEST), content.decode(), age)
    newest = b"the newest"
    written(layout.blob_data(tmp_path, f"sha256:{sha256(newest).hexdigest()}"), newest.decode())
    repair(tmp_path)
    assert data.exists() == stays
    assert data.parent.exists() == stays


def test_an_empty_storage_is_none_of_its_business(tmp_path: Path) -> None:
    repair(tmp_path)
    assert list(tmp_path.iterdir()) == []
