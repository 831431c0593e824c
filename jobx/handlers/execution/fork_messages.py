"""What a node and its fork server tell each other, one struct a message.

They are apart from ``protocol``, which may be compiled: a compiled class is no struct.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct


class Fork(Struct, frozen=True, tag="spawn", tag_field="t"):
    """A node asks its fork server for executor ``n``; its stream and its page come along."""

    n: int


class Ping(Struct, frozen=True, tag="ping", tag_field="t"):
    """A node asks whether its fork server responds."""

    n: int


class Pong(Struct, frozen=True, tag="pong", tag_field="t"):
    """The answer to the ping of the same number."""

    n: int


class Forked(Struct, frozen=True, tag="spawned", tag_field="t"):
    """Executor ``n`` was made."""

    n: int
    pid: int


class NotForked(Struct, frozen=True, tag="not-spawned", tag_field="t"):
    """Executor ``n`` could not be made; the node asks again."""

    n: int
    reason: str


class ProcessEnded(Struct, frozen=True, tag="exited", tag_field="t"):
    """An executor is gone; a negative status is the signal that ended it."""

    pid: int
    status: int


#: The messages to a fork server, and those from it.
FORK_ORDER: Final = msgspec.msgpack.Decoder(Fork | Ping)
FORK_NEWS: Final = msgspec.msgpack.Decoder(Pong | Forked | NotForked | ProcessEnded)
