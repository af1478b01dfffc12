"""What all parts of a push share: settings, request, repository, log, time and randomness."""

from collections.abc import Callable
from typing import NamedTuple

from pipe.config.settings import PushRequest, Settings
from pipe.push.shared_layers import SharedLayers
from pipe.registry.repository import Repository
from pipe.report import Report
from pipe.threads import Cancel


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


class Context:
    """What all parts of a push share."""

    def __init__(  # noqa: PLR0913, PLR0917 # a record
        self,
        settings: Settings,
        request: PushRequest,
        repository: Repository,
        report: Report,
        timing: Timing,
        shared: SharedLayers | None = None,
    ) -> None:
        """Keep together what a push needs.

        Args:
            settings: The user's settings.
            request: What to push, and where.
            repository: Where to push.
            report: The log.
            timing: Time and randomness.
            shared: The layers that the run has brought to the registry before this push; None before the first.
        """
        self.settings = settings
        self.request = request
        self.repository = repository
        self.report = report
        self.timing = timing
        self.shared = SharedLayers() if shared is None else shared
