"""Blocking client of a node's gateway."""

from __future__ import annotations

import itertools
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import jobx
from jobx.errors import (
    DeadlineExceeded,
    FrameError,
    JobxError,
    NodeLost,
    NodeUnreachable,
    from_wire,
)
from jobx.frames import Frame, FrameSocket
from jobx.system.peers import check_node

PROTOCOL: Final = 1
#: How long a node may take to answer a verb that waits for nothing.
ANSWER_S: Final = 10.0


class GatewayClient:
    """One connection to a node, for one thread; a context manager.

    Raises:
        NodeUnreachable: Nobody answers at the socket.
        JobxError: The node refused the greeting; as it said.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._numbers = itertools.count()
        self._sock = _connect(path)
        self._frames = FrameSocket(self._sock)
        try:
            greeting = {"protocol": PROTOCOL, "role": "tools", "version": jobx.__version__}
            self.call("hello", greeting)
        except NodeLost as error:
            self.close()
            raise NodeUnreachable(error.args[0]) from error  # nothing was asked yet
        except BaseException:
            self.close()
            raise

    def call(self, verb: str, body: Frame, timeout_s: float = ANSWER_S) -> Any:
        """Return the node's answer.

        Raises:
            JobxError: The node's own error, raised here again.
            NodeLost: The node went away before it answered.
            DeadlineExceeded: No answer came in time; the connection is of no more use.
        """
        number = next(self._numbers)
        self._sock.settimeout(timeout_s)
        try:
            self._frames.send({"id": number, "verb": verb, "body": body})
            answer = self._answer(number)
        except TimeoutError as error:
            raise DeadlineExceeded(f"the node's answer to {verb}", timeout_s) from error
        except OSError as error:
            raise self._lost(error.strerror or str(error)) from error
        if "error" in answer:
            raise _rebuilt(answer["error"])
        return answer.get("ok")

    def close(self) -> None:
        """Close the connection; a second close does nothing."""
        self._frames.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _answer(self, number: int) -> Frame:
        while (answer := self._frames.receive()) is not None:
            if answer.get("id") == number:
                return answer
        raise self._lost("it closed the connection")

    def _lost(self, reason: str) -> NodeLost:
        return NodeLost(f"the node at {self._path} went away before it answered: {reason}")


def _connect(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(ANSWER_S)
    try:
        sock.connect(str(path))
    except OSError as error:
        sock.close()
        hint = "start one with jobx serve, or name another folder with --data"
        raise NodeUnreachable(f"no node runs on {path.parent}; {hint}") from error
    try:
        check_node(sock, path)
    except BaseException:
        sock.close()
        raise
    return sock


def _rebuilt(wire: Any) -> JobxError:
    if isinstance(wire, dict):
        return from_wire(wire)
    return FrameError(f"a node sent an error that is not a map: {wire!r}")
