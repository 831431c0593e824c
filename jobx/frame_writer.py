"""Writes frames on a transport, those of one turn of the loop together: each write wakes the peer.

A write to a socket whose reader sleeps costs both processes more than the frame itself.
"""

from __future__ import annotations

import asyncio
from typing import Final

#: Frames above this are not copied to be written together with others.
JOINED_BYTES: Final = 16 << 10


class FrameWriter:
    """Writes frames in order; nothing once the transport closes.

    Args:
        transport: Where they go.
        loop: Its loop.
    """

    def __init__(self, transport: asyncio.WriteTransport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._frames: list[bytes] = []
        self._waiting_bytes = 0

    @property
    def unread_bytes(self) -> int:
        """Bytes that the peer has not taken, and that the kernel does not keep for it."""
        return self._transport.get_write_buffer_size() + self._waiting_bytes

    def write(self, frame: bytes, *, is_alone: bool) -> None:
        """Write a frame, at the latest in the next turn.

        Args:
            frame: Its bytes.
            is_alone: No other one will come in this turn, so it is written at once.
        """
        if is_alone or len(frame) > JOINED_BYTES:
            if self._frames:
                self.flush()
            self._send(frame)
            return
        if not self._frames:
            self._loop.call_soon(self.flush)
        self._frames.append(frame)
        self._waiting_bytes += len(frame)

    def flush(self) -> None:
        """Write what waits."""
        if self._frames:
            frames, self._frames, self._waiting_bytes = self._frames, [], 0
            self._send(b"".join(frames))

    def _send(self, written: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(written)
