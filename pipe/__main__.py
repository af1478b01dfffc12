"""`python3 -m pipe`."""

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

    sys.exit(main(sys.argv[1:], os.environ))
