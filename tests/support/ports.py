"""Ports that a test names before anybody binds them, and that nobody else gets meanwhile."""

from __future__ import annotations

import itertools
import random
import socket
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

#: Below these, services of the machine are more likely.
_FIRST: Final = 10_000
_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now.

    The kernel does not give them to others, since they are below those that it chooses from: for
    outgoing connections, and for servers that ask for any port. Nor do they go to another process
    of tests, because until its end each holds a Unix socket in the name of the port.
    """
    end = int(_RANGE.read_text().split()[0])
    rng = random.SystemRandom()
    tries = (rng.randrange(_FIRST, end) for _ in range(100 * count))
    found = list(
        itertools.islice((port for port in tries if _is_free(port) and _hold(port)), count)
    )
    assert len(found) == count, "hardly any port is free"
    return found


def free_port() -> int:
    """Return one such port."""
    return free_ports(1)[0]


def _is_free(port: int) -> bool:
    with ExitStack() as stack:
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                probe = stack.enter_context(closing(socket.socket(socket.AF_INET, kind)))
                probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _hold(port: int) -> bool:
    """Reserve a port among processes of tests until this one ends."""
    holder = socket.socket(socket.AF_UNIX)
    try:
        holder.bind(f"\0port {port} of tests")
    except OSError:
        holder.close()
        return False
    holder.detach()  # open until the process ends
    return True
