"""Blocking client of a node's gateway."""

from __future__ import annotations

import itertools
import socket
from pathlib import Path
from typing import Final, Self, TypeVar

import msgspec

import jobx
from jobx import questions
from jobx.errors import DeadlineExceeded, JobxError, NodeLost, NodeUnreachable
from jobx.frames import FrameSocket
from jobx.questions import PROTOCOL, Hello, Question
from jobx.system.peers import check_node
from jobx.views import View

A = TypeVar("A", bound=View)
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
            self.call(Hello(protocol=PROTOCOL, role="tools", version=jobx.__version__))
        except NodeLost as error:
            self.close()
            raise NodeUnreachable(error.args[0]) from error  # nothing was asked yet
        except BaseException:
            self.close()
            raise

    def call(self, question: Question[A], timeout_s: float = ANSWER_S) -> A:
        """Return the node's answer, which may take longer by as much as is waited for.

        Raises:
            JobxError: The node's own error, raised here again.
            NodeLost: The node went away before it answered.
            DeadlineExceeded: No answer came in time; the connection is of no more use.
        """
        number = next(self._numbers)
        timeout_s += questions.wait_of(question)
        self._sock.settimeout(timeout_s)
        try:
            self._frames.send_bytes(questions.encode_call(number, question))
            answer = self._answer(number)
        except TimeoutError as error:
            raise DeadlineExceeded(f"the node's answer to {question.verb}", timeout_s) from error
        except OSError as error:
            raise self._lost(error.strerror or str(error)) from error
        if isinstance(answer, JobxError):
            raise answer
        return questions.decode_answer(question, answer)

    def close(self) -> None:
        """Close the connection; a second close does nothing."""
        self._frames.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, number: int) -> msgspec.Raw | JobxError:
        while (body := self._frames.receive_body()) is not None:
            found, answer = questions.decode_reply(body)
            if found == number:
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
