"""What all parts of a push share: settings, request, repository, log, time and randomness."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from pipe.config.settings import PushRequest, Settings
from pipe.push.shared_layers import SharedLayers
from pipe.registry.repository import Repository
from pipe.threads import Cancel


class Report(Protocol):
    """The log."""

    def info(self, text: str) -> None:
        """Log what happens."""

    def warning(self, text: str) -> None:
        """Log what people should know."""

    def debug(self, text: str) -> None:
        """Log what matters only if something is wrong."""


class Timing(NamedTuple):
    """Time and randomness, which tests pass in.

    Attributes:
        clock: Returns seconds that never go back.
        sleep: Waits for seconds.
        random: Returns a number from 0 up to 1.
        wait: Waits for seconds in a worker, unless the work is cancelled.
    """

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    random: Callable[[], float]
    wait: Callable[[Cancel, float], None] = Cancel.wait


@dataclass(frozen=True, slots=True)
class Context:
    """What all parts of a push share.

    Attributes:
        settings: The user's settings.
        request: What to push, and where.
        repository: Where to push.
        report: The log.
        timing: Time and randomness.
        shared: The layers that the run has brought to the registry before this push.
    """

    settings: Settings
    request: PushRequest
    repository: Repository
    report: Report
    timing: Timing
    shared: SharedLayers = field(default_factory=SharedLayers)
