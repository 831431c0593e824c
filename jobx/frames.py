"""The frame codec: length-prefixed msgpack on a stream, for executors and the gateway.

A frame is four bytes (the body's length, big endian) and a body: one msgpack item. For executors
it is a map with text keys (``work.py``, ``segments.py``), at the gateway a list (``questions/``).
The decoder checks the length before it keeps a byte of the body, so a peer cannot make it hold more
than ``max_bytes``.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from collections.abc import Iterator
from typing import Final

import msgspec

from jobx import values
from jobx.errors import UNREADABLE, FrameError, InvalidInput

#: Largest body of a frame. Larger values travel as blobs, so nothing comes near it.
MAX_FRAME_BYTES: Final = 64 << 20
#: Beginning of a frame in which its number is searched.
_PEEK_BYTES: Final = 64
_HEAD: Final = struct.Struct(">I")
_ENCODER: Final = msgspec.msgpack.Encoder()


def encode(frame: object) -> bytes:
    """Return a struct, a tuple or a map as the bytes of a frame, head included.

    Raises:
        FrameError: It is larger than MAX_FRAME_BYTES or holds what cannot be sent.
    """
    try:
        try:
            body = _ENCODER.encode(frame)
        except OverflowError:  # msgspec knows no integers beyond 64 bits
            body = values.pack(msgspec.to_builtins(frame, builtin_types=(bytes,)))
    except (*UNREADABLE, InvalidInput) as error:
        raise FrameError(str(error)) from error
    return with_head(body)


def with_head(body: bytes) -> bytes:
    """Return the body of a frame as bytes, head included.

    Raises:
        FrameError: It is larger than MAX_FRAME_BYTES.
    """
    if len(body) > MAX_FRAME_BYTES:
        raise FrameError(f"a frame of {len(body)} bytes is larger than {MAX_FRAME_BYTES}")
    return _HEAD.pack(len(body)) + body


def without_head(frame: bytes) -> bytes:
    """Return the body of a whole frame."""
    return frame[_HEAD.size :]


def number_of(body: bytes | bytearray | memoryview) -> int | None:
    """Return the ``id`` among the first two fields of a frame, None when it cannot be seen.

    The rest is not decoded, so it may be told whose a frame is that cannot be.
    """
    items = values.first_items(body[:_PEEK_BYTES], 4)
    fields = zip(items[::2], items[1::2], strict=False)
    return next((item for name, item in fields if name == "id" and type(item) is int), None)


class FrameDecoder:
    """Cuts the chunks of a stream into bodies of frames; buffers incomplete ones."""

    def __init__(self, max_bytes: int = MAX_FRAME_BYTES) -> None:
        self._buffer = bytearray()
        self._max_bytes = max_bytes

    def bodies(self, chunk: bytes) -> Iterator[bytes | bytearray]:
        """Take a chunk and yield the body of each frame that it completes.

        Raises:
            FrameError: A length is over the limit.
        """
        buffer = self._buffer
        if buffer:
            buffer += chunk
        data = buffer or chunk  # nearly always whole frames, which need no buffer
        start = 0
        try:
            while len(data) - start >= _HEAD.size:
                (length,) = _HEAD.unpack_from(data, start)
                if length > self._max_bytes:
                    raise FrameError(f"a peer announced a frame of {length} bytes")
                end = start + _HEAD.size + length
                if len(data) < end:
                    break
                body = data[start + _HEAD.size : end]
                start = end
                yield body
        finally:
            if data is chunk:
                buffer += chunk[start:]
            else:
                del buffer[:start]


class FrameSocket:
    """Blocking frames over a connected stream socket; for executors and tools.

    Runs in one thread at a time for each direction.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._stream = sock.makefile("rb", buffering=1 << 16)
        self._arrived = select.poll()
        self._arrived.register(sock, select.POLLIN)

    def send(self, frame: object) -> None:
        """Write one frame; raises OSError when the peer is gone, FrameError as ``encode`` does."""
        self.send_bytes(encode(frame))

    def send_bytes(self, frame: bytes) -> None:
        """Write one encoded frame; raises OSError when the peer is gone."""
        self._sock.sendall(frame)

    def receive_body(self) -> bytes | None:
        """Return the body of the next frame, or None when the peer closed the stream between two.

        Raises:
            ConnectionError: The stream ended inside a frame.
            FrameError: The stream contains something else.
            TimeoutError: The socket has a timeout and it ran out.
        """
        head = self._stream.read(_HEAD.size)
        if not head:
            return None
        if len(head) < _HEAD.size:
            raise ConnectionResetError("the stream ended inside a frame's head")
        (length,) = _HEAD.unpack(head)
        if length > MAX_FRAME_BYTES:
            raise FrameError(f"a peer announced a frame of {length} bytes")
        body: bytes = self._stream.read(length)
        if len(body) < length:
            raise ConnectionResetError("the stream ended inside a frame")
        return body

    def let_go(self) -> None:
        """Drop the connection in a forked process, which must not answer the peer."""
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, self._sock.fileno(), inheritable=False)
        os.close(null)

    def is_pending(self) -> bool:
        """Tell whether a frame can be read at once, beyond what was read ahead."""
        return bool(self._arrived.poll(0))

    def close(self) -> None:
        """Close the socket; a second close does nothing."""
        self._stream.close()
        self._sock.close()
