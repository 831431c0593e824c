"""Whether an nsqd answers, asked as a client of it asks."""

from __future__ import annotations

import socket
import struct
from typing import Final

from jobx.actors.bridge.nsq.transport import server_of
from jobx.errors import ConfigError

#: Limit of the whole conversation.
ANSWER_S: Final = 3.0
_HELLO: Final = b"  V2IDENTIFY\n" + struct.pack(">l", 2) + b"{}"
_HEAD: Final = struct.Struct(">ll")
_RESPONSE: Final = 0


def trouble(address: str) -> str | None:
    """Return why the nsqd at ``HOST:PORT`` cannot be used; None if it answers."""
    try:
        server = server_of("bridge.nsqd", address)
        with socket.create_connection(server, ANSWER_S) as connection:
            connection.settimeout(ANSWER_S)
            connection.sendall(_HELLO)
            head = connection.recv(_HEAD.size, socket.MSG_WAITALL)
    except ConfigError as error:
        return str(error)
    except OSError as error:
        return error.strerror or str(error)
    if len(head) < _HEAD.size or _HEAD.unpack(head)[1] != _RESPONSE:
        return "it answers, but not as nsqd does"
    return None
