"""The staging of one image, which is begun at most once."""

import pytest
from unit.fakes import OneImage
from unit.runs import IMAGE

from pipe.push.early_staging import EarlyStaging


@pytest.mark.parametrize(
    ("steps", "done"),
    [
        pytest.param("begin", ["stage"], id="begun"),
        pytest.param("begin begin", ["stage"], id="begun-once"),
        pytest.param("begin close", ["stage", "end of staging"], id="ended"),
        pytest.param("begin close close", ["stage", "end of staging"], id="ended-once"),
        pytest.param("begin close begin", ["stage", "end of staging"], id="never-again"),
        pytest.param("close begin", [], id="ruled-out"),
    ],
)
def test_an_image_is_staged_at_most_once(steps: str, done: list[str]) -> None:
    source, staging = OneImage(IMAGE), EarlyStaging()
    for step in steps.split():
        if step == "begin":
            staging.begin(source)
        else:
            staging.close()
    assert source.done == done
