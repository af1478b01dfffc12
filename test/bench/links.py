"""Links between the pipe and the registry: loopback, shaped in the bench's own network namespace."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from bench.running import run

SHAPE = "tc qdisc replace dev lo root tbf burst 512kb latency 200ms rate"
"""The command that shapes loopback; its last argument follows, such as `50mbit`."""
UNSHAPE = "tc qdisc del dev lo root"


@dataclass(frozen=True, slots=True)
class Link:
    """A link.

    Attributes:
        name: As it is called in tables and by `--only`.
        mbits: Mbit/s in both directions together, as far as they share it; None for loopback as it is.
        limit: How many times as long as `docker push` the pipe may take.
        zstd_limit: The same with `COMPRESSION: zstd`; None if there is no target.
        stored_limit: How many times the bytes of `docker push` the registry may store; None if there is no target.
    """

    name: str
    mbits: int | None
    limit: float
    zstd_limit: float | None = None
    stored_limit: float | None = None

    @property
    def label(self) -> str:
        """Return the link's name in a sentence."""
        return f"{self.mbits} Mbit/s" if self.mbits else "loopback"


LINKS = (
    Link("loopback", None, 0.45, stored_limit=1.06),
    Link("800", 800, 0.48, stored_limit=1.00),
    Link("200", 200, 0.88, 0.80, 1.00),
    Link("50", 50, 1.01, 0.90, 1.00),
)


@contextlib.contextmanager
def shaped(mbits: int | None) -> Iterator[None]:
    """Limit loopback's rate in the network namespace of this process; None leaves it as it is.

    Raises:
        RuntimeError: The kernel or the permissions do not allow that.
    """
    if mbits is None:
        yield
        return
    run(*SHAPE.split(), f"{mbits}mbit")
    try:
        yield
    finally:
        run(*UNSHAPE.split())


def why_not_shaped() -> str:
    """Return why loopback cannot be shaped here; an empty string if it can."""
    if shutil.which("tc") is None:
        return "`tc` (Debian's package iproute2) is missing"
    try:
        with shaped(1000):
            return ""
    except RuntimeError as error:
        return f"`tc` failed: {str(error).splitlines()[-1].rstrip('.')}"
