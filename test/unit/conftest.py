"""Hypothesis for machines of any speed, and what a test leaves behind in the process put back."""

import logging
import signal
import warnings
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("unit", deadline=None, max_examples=25)
settings.register_profile("deep", deadline=None, max_examples=300)  # in `make fuzz`
settings.load_profile("unit")


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a test open the log and take signals, as the program does."""
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    root, stops = logging.getLogger(), (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
    handlers, level = root.handlers[:], root.level
    before = {number: signal.getsignal(number) for number in stops}
    yield
    logging.captureWarnings(capture=False)
    logging.getLogger("pipe").setLevel(logging.NOTSET)
    root.handlers[:], root.level = handlers, level
    for number, handler in before.items():
        signal.signal(number, handler)
