"""What a log tells of an Engine."""

import pytest

from pipe.engine.kind import EngineKind


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        pytest.param(
            EngineKind("go1.24.4", 2, containerd=True, version="26.1.5"),
            "version 26.1.5, containerd store, built with go1.24.4, 2 processors",
            id="containerd",
        ),
        pytest.param(
            EngineKind("go1.19.8", 64, version="20.10.24"),
            "version 20.10.24, graphdriver store, built with go1.19.8, 64 processors",
            id="graphdriver",
        ),
        pytest.param(
            EngineKind(),
            "version unknown, graphdriver store, built with an unknown Go, unknown processors",
            id="nothing-known",
        ),
    ],
)
def test_an_engine_is_told(kind: EngineKind, told: str) -> None:
    assert str(kind) == told
