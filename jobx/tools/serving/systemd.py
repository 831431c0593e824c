"""Reports to systemd, for a service of ``Type=notify``; see sd_notify(3)."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


def notify(environ: Mapping[str, str], state: str) -> None:
    """Report a state (``READY=1``, ``STOPPING=1``, ``WATCHDOG=1``) if systemd listens."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    name = "\0" + address[1:] if address.startswith("@") else address
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(os.fsencode(state), os.fsencode(name))
