"""Name, version and revision."""

from pathlib import Path

import pytest

from pipe.about import PIPE_YML, About


@pytest.mark.parametrize(
    ("image", "environment", "text"),
    [
        pytest.param("my-pipe:1.2.3", {}, "my-pipe 1.2.3", id="no-revision"),
        pytest.param("my-pipe:1.2.3", {"PIPE_REVISION": ""}, "my-pipe 1.2.3", id="empty-revision"),
        pytest.param("my-pipe:1.2.3", {"PIPE_REVISION": "abc"}, "my-pipe 1.2.3 (abc)", id="revision"),
        pytest.param("acme/my-pipe:1.2.3", {}, "my-pipe 1.2.3", id="account"),
        pytest.param("h:5000/acme/my-pipe:1.2.3", {}, "my-pipe 1.2.3", id="registry-with-port"),
    ],
)
def test_about(tmp_path: Path, image: str, environment: dict[str, str], text: str) -> None:
    path = tmp_path / "pipe.yml"
    path.write_text(f"name: My pipe\nimage: {image}\n", "utf-8")
    assert str(About.read(environment, path)) == text


def test_the_pipes_own_definition_is_read() -> None:
    assert PIPE_YML.is_file()
    assert About.read({}).name == "bbc-packages-push-container-image"
