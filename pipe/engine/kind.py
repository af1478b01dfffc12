"""The properties of a Docker Engine that decide how fast it pushes."""

import re
from typing import NamedTuple

GO_GZIP = 25e6
"""Unpacked bytes per second and core of an Engine built with Go before 1.27: 20 to 25 MB measured with
Engine 20.10 (Go 1.19) and 26.1 (Go 1.24), up to 40 MB on other processors."""
GO_GZIP_FAST = 130e6
"""The same since Go 1.27: 1.42 GB in 10.8 s measured with Engine 28.5."""
FAST_GO = (1, 27)
_GO_VERSION = r"go([0-9]{1,3})\.([0-9]{1,3})"


class EngineKind(NamedTuple):
    """The properties of an Engine; "" and 0 if unknown.

    Attributes:
        go_version: The Go that built it (`go1.24.4`).
        cpus: Its processors.
        containerd: Whether its images are in a containerd store.
        version: Its version (`26.1.5`).
        measured: Unpacked bytes per second and core that it was seen to compress.
    """

    go_version: str = ""
    cpus: int = 0
    containerd: bool = False
    version: str = ""
    measured: float = 0.0

    def __str__(self) -> str:
        """Return a description for the log."""
        store = "containerd" if self.containerd else "graphdriver"
        return (
            f"version {self.version or 'unknown'}, {store} store, built with {self.go_version or 'an unknown Go'},"
            f" {self.cpus or 'unknown'} processors"
        )

    @property
    def rate(self) -> float:
        """Unpacked bytes that one core compresses per second."""
        match = re.match(_GO_VERSION, self.go_version)
        fast = match is not None and (int(match[1]), int(match[2])) >= FAST_GO
        return max(GO_GZIP_FAST if fast else GO_GZIP, self.measured)
