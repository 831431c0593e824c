"""Main of a reader: answers questions of its node from the store, which it only reads.

``python -m jobx.actors.readers.main SOCKET_FD``: the node sends ``ReaderConfig`` as the first
frame, then questions as at the gateway (``jobx/questions``). When the node closes its end or
dies, the reader ends at once, whatever it is at.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import msgspec

from jobx import logs, questions
from jobx.actors.readers.folds import AT_ONCE, Folds
from jobx.actors.readers.table import Table, table
from jobx.config import Settings
from jobx.errors import FrameError, InternalError, InvalidInput, JobxError, Unavailable
from jobx.frames import FrameSocket
from jobx.handlers.blobs.opening import shared_blobs
from jobx.kv.blobs import BlobFolder
from jobx.kv.opening import open_store
from jobx.kv.store import Store
from jobx.questions import Question
from jobx.system import kernel

#: Of nice(2): it runs when nothing else wants to.
NICE: Final = 19

_log = logging.getLogger(__name__)


class ReaderConfig(msgspec.Struct, frozen=True):
    """What a reader is given.

    Attributes:
        settings: All settings, as plain values.
        memory_bytes: Its limit.
    """

    settings: dict[str, Any]
    memory_bytes: int


class _Process:
    """Answers the questions of one socket, a few at once."""

    def __init__(self, frames: FrameSocket, settings: Settings, odd: Table | None) -> None:
        self._frames = frames
        self._settings = settings
        self._table = table(Folds(BlobFolder(settings.blob_path))) | (odd or {})
        self._store: Store | None = None
        self._opening = threading.Lock()
        self._sending = threading.Lock()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="reader")

    def run(self) -> None:
        """Answer until the node is gone."""
        while (body := self._frames.receive_body()) is not None:
            self._threads.submit(self._answer, *questions.decode_call(body))

    def _answer(self, number: int, question: Question[Any]) -> None:
        try:
            self._send(self._reply(number, question))
        except MemoryError:
            os._exit(_NO_MEMORY)
        except OSError:
            os._exit(0)  # the node is gone

    def _reply(self, number: int, question: Question[Any]) -> bytes:
        try:
            view = self._table[type(question)](self._opened(), question)
            return questions.encode_answer(number, view)
        except FrameError as error:
            reason = f"the answer to {question.verb} cannot be sent: {error}"
            return questions.encode_error(number, InternalError(reason))
        except JobxError as error:
            return questions.encode_error(number, error)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - a fault in one answer must not cost the others
            _log.exception("verb %s failed in a reader", question.verb)
            reason = f"verb {question.verb} failed; see the node's log"
            return questions.encode_error(number, InternalError(reason))

    def _send(self, frame: bytes) -> None:
        with self._sending:
            self._frames.send_bytes(frame)

    def _opened(self) -> Store:
        with self._opening:
            if self._store is None:
                shared = shared_blobs(self._settings.blobs)
                self._store = open_store(self._settings, shared, is_read_only=True)
            return self._store


#: Exit code of a reader that had no memory for an answer.
_NO_MEMORY: Final = 77


def why_ended(code: int, how: str) -> Unavailable:
    """Return what becomes of the questions of a reader that ended, by its exit code."""
    if code == _NO_MEMORY:
        return Unavailable("a reader had no memory for this; ask for less at once", 1.0)
    return Unavailable(f"the reader of requests {how}; another one takes its place", 1.0)


def main(arguments: list[str], odd: Table | None = None) -> None:
    """Run a reader.

    Args:
        arguments: Those of the command line.
        odd: Other answers to some kinds of questions, for tests.
    """
    (descriptor,) = arguments
    kernel.prctl(kernel.DIE_WITH_PARENT, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the node, which drains first
    os.nice(NICE)
    sock = socket.socket(fileno=int(descriptor))
    sock.set_inheritable(False)
    frames = FrameSocket(sock)
    first = frames.receive_body()
    if first is None:
        return  # the node is gone
    config = msgspec.msgpack.decode(first, type=ReaderConfig)
    settings = msgspec.convert(config.settings, Settings)
    logs.start(settings.node)
    kernel.limit(resource.RLIMIT_CORE, 0)
    kernel.limit(resource.RLIMIT_AS, config.memory_bytes)
    kernel.give_back_memory()
    try:
        _Process(frames, settings, odd).run()
    except (InvalidInput, OSError):
        os._exit(1)
    os._exit(0)  # no thread of it is waited for


if __name__ == "__main__":
    main(sys.argv[1:])
