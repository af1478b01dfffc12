"""The Engine's clock, which all processes that share an Engine can compare."""

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from docker import APIClient


class EngineClock:
    """Unix seconds by the Engine's clock; the pipe's own may differ."""

    def __init__(self, api: APIClient, monotonic: Callable[[], float]) -> None:
        """Read the Engine's clock once; from then on `monotonic` counts."""
        self._monotonic = monotonic
        self._offset = _engine_time(api) - monotonic()

    def __call__(self) -> int:
        """Return the seconds."""
        return int(self._offset + self._monotonic())


def _engine_time(api: APIClient) -> float:
    response = api.get(f"{api.base_url}/_ping", timeout=api.timeout)
    try:
        return parsedate_to_datetime(response.headers["Date"]).timestamp()
    except (LookupError, ValueError, TypeError):
        return time.time()
