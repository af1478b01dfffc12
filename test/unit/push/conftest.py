"""A search for known layers ends before the next event, however busy the machine is."""

import pytest

from pipe.push import takeover


@pytest.fixture(autouse=True)
def _searches_end_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a search as long as it lasts: the clock of these tests stands still meanwhile."""
    monkeypatch.setattr(takeover, "TICK", 60)
