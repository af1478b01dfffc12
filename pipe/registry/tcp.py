"""What the kernel knows of a TCP connection."""

import math
import socket
import struct

_MICROSECONDS = struct.Struct("@I")
_MIN_RTT = 148
"""The offset of `tcpi_min_rtt` in `struct tcp_info`; source: Linux, include/uapi/linux/tcp.h, since 4.6."""


def shortest_round_trip(connection: socket.socket) -> float:
    """Return the seconds of the shortest round trip of a connection; infinite if that is unknown."""
    try:
        found = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _MIN_RTT + _MICROSECONDS.size)
        microseconds = _MICROSECONDS.unpack_from(found, _MIN_RTT)[0]
    except (AttributeError, OSError, struct.error):
        return math.inf
    return microseconds / 1_000_000 if microseconds else math.inf
