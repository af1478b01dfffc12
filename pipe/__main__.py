"""`python3 -m pipe`."""

import contextlib
import os
import signal
import sys
from types import FrameType


def _end(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)


if __name__ == "__main__":
    # Until the program has begun there is nothing to put back, and no one to catch an exception.
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    from pipe.main import main

    exit_code = main(sys.argv[1:], os.environ)
    for stream in (sys.stdout, sys.stderr):
        # Either may be closed, or was never there.
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
    # Threads may still be at work where a push failed. An end in order would wait for the interpreter to be
    # taken apart around them, which takes time and may break.
    os._exit(exit_code)
