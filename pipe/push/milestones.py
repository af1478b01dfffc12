"""What a push reports on its way to the pushes that follow it."""

from collections.abc import Callable
from typing import NamedTuple


def _unheard() -> None:
    """Do nothing: no push follows."""


class Milestones(NamedTuple):
    """Calls of one push; another attempt repeats them.

    Attributes:
        allowed: The registry has allowed the push.
        read: The pipe has read all blobs of the image, and those that are not in the registry are on their way.
        sent: All blobs are in the registry, unless an Engine sends them.
    """

    allowed: Callable[[], None] = _unheard
    read: Callable[[], None] = _unheard
    sent: Callable[[], None] = _unheard
