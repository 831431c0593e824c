"""What the processes of the skeleton tell each other: two numbers a frame."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any

#: Number of the request, and what it asks for.
_FRAME = struct.Struct("!QQ")


class Frames(asyncio.Protocol):
    """One end of a connection.

    Args:
        on_frame: Called with this end and each frame of the other.
    """

    def __init__(self, on_frame: Callable[[Frames, int, int], None]) -> None:
        self._on_frame = on_frame
        self._rest = b""

    def connection_made(self, transport: Any) -> None:
        # uvloop's transports have no base in common with asyncio's.
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        whole = len(data) - len(data) % _FRAME.size
        self._rest = data[whole:]
        for frame in _FRAME.iter_unpack(data[:whole]):
            self._on_frame(self, *frame)

    def send(self, request: int, number: int) -> None:
        self._transport.write(_FRAME.pack(request, number))
