"""`python3 -m pipe`."""

import contextlib
import gc
import os
import signal
import sys
from types import FrameType


def _exit(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)


if __name__ == "__main__":
    # Until `main` runs there is nothing to clean up, and nothing that would catch an exception.
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, _exit)
    # Nothing that is imported becomes garbage; `main` turns the collector on again.
    gc.disable()
    from pipe.bundle import install

    install()
    from pipe.main import main

    exit_code = main(sys.argv[1:], os.environ)
    for stream in (sys.stdout, sys.stderr):
        # Either can be closed, or None.
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
    # After a failed push, threads can still be running. A normal exit would tear down the interpreter around
    # them, which takes time and can crash.
    os._exit(exit_code)
