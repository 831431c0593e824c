"""Frames of one turn of the loop are written together, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from jobx.frame_writer import JOINED_BYTES, FrameWriter


class Transport(asyncio.WriteTransport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.written.append(data)

    def get_write_buffer_size(self) -> int:
        return 5

    def is_closing(self) -> bool:
        return self.is_closed


def on_loop(scene: Callable[[FrameWriter], Coroutine[None, None, None]], of: Transport) -> None:
    async def play() -> None:
        await scene(FrameWriter(of, asyncio.get_running_loop()))

    asyncio.run(play())


def test_frames_of_one_turn_are_one_write() -> None:
    transport = Transport()

    async def scene(writer: FrameWriter) -> None:
        for frame in (b"one", b"two", b"three"):
            writer.write(frame, is_alone=False)
        assert transport.written == []
        await asyncio.sleep(0)
        assert transport.written == [b"onetwothree"]

    on_loop(scene, transport)


def test_a_frame_that_is_alone_is_written_at_once_behind_those_that_wait() -> None:
    transport = Transport()

    async def scene(writer: FrameWriter) -> None:
        writer.write(b"one", is_alone=False)
        writer.write(b"two", is_alone=True)
        assert b"".join(transport.written) == b"onetwo"
        await asyncio.sleep(0)
        assert b"".join(transport.written) == b"onetwo"

    on_loop(scene, transport)


def test_a_large_frame_is_not_copied() -> None:
    transport = Transport()

    async def scene(writer: FrameWriter) -> None:
        large = bytes(JOINED_BYTES + 1)
        writer.write(large, is_alone=False)
        assert transport.written[0] is large

    on_loop(scene, transport)


def test_what_waits_counts_as_unread() -> None:
    transport = Transport()

    async def scene(writer: FrameWriter) -> None:
        writer.write(b"one", is_alone=False)
        assert writer.unread_bytes == 8
        writer.flush()
        assert writer.unread_bytes == 5

    on_loop(scene, transport)


def test_nothing_is_written_once_the_transport_closes() -> None:
    transport = Transport()

    async def scene(writer: FrameWriter) -> None:
        writer.write(b"one", is_alone=False)
        transport.is_closed = True
        await asyncio.sleep(0)
        assert transport.written == []

    on_loop(scene, transport)
