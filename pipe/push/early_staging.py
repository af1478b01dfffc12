"""The staging of one image in the Engine before the push needs it: begun at most once, by any thread."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from pipe.source.image_source import ImageSource


class EarlyStaging:
    """Lets the Engine stage an image until a push ends, unless the pipe uses it before."""

    def __init__(
        self, staged: Callable[[ImageSource], AbstractContextManager[None]] = lambda source: source.staged()
    ) -> None:
        """Nothing is staged before `begin`; `staged` returns a context that lasts as long as the staging."""
        self._staged = staged
        self._lock = threading.Lock()
        self._context = ExitStack()
        self._decided = False

    def begin(self, source: ImageSource) -> None:
        """Begin, unless that was done before, or ruled out."""
        with self._lock:
            if not self._decided:
                self._decided = True
                self._context.enter_context(self._staged(source))

    def close(self) -> None:
        """Drop the staging, which an Engine completes if it has begun, or rule it out: it does not begin afterwards."""
        with self._lock:
            self._decided = True
            self._context.close()
