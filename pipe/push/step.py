"""The steps of a plan: who pushes, and which one follows if one cannot."""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """Who pushes."""

    ENGINE = "engine"
    REGISTRY = "pipe"


class Step(NamedTuple):
    """One pusher of a plan.

    Attributes:
        kind: Who pushes.
        reason: Why, for the log; "" if there is nothing to explain.
        hands_over: Whether an Engine's push ends if the next pusher would be clearly faster.
        splits: Whether layers that exceed a limit are split first; only for a push that failed for that.
    """

    kind: Kind
    reason: str = ""
    hands_over: bool = False
    splits: bool = False


def after(steps: Sequence[Step], *, limit: bool) -> tuple[Step, ...]:
    """Return the steps that are left if the first one cannot push.

    Args:
        steps: From the current one on.
        limit: Whether a layer exceeds a limit: then only a step that splits it can help. Otherwise that would not.
    """
    if limit:
        return tuple(step for step in steps[1:] if step.splits)
    rest = tuple(steps[1:])
    return rest if any(not step.splits for step in rest) else ()
