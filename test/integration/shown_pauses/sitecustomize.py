"""Imported by Python at its start, if it is in PYTHONPATH: shows every pause on standard error."""

import sys
import time
from typing import SupportsIndex

_sleep = time.sleep


def _shown(seconds: float | SupportsIndex, /) -> None:
    print(f"pauses for {seconds} s", file=sys.stderr)
    _sleep(seconds)


time.sleep = _shown
