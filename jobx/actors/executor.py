"""One executor process as the node sees it: its socket, its shared page, the work it has."""

from __future__ import annotations

import asyncio
import mmap
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from thespian.actors import ActorAddress

from jobx import frames
from jobx.actors.messages import RequestKey
from jobx.errors import FrameError
from jobx.handlers.protocol import PROGRESS, RECALLED, RECALLED_AT, RSS, RSS_AT
from jobx.model import Failure

PAGE_BYTES: Final = 4096


@dataclass(slots=True)
class WorkItem:
    """A work frame on its way through the pool.

    Attributes:
        number: Its id on the wire, new each time it is sent.
        sent_at: When the executor could begin with it, monotonic.
        stop: The first vertex of a batch that was taken back, 0: none was.
        unstarted: How often an executor died before it came to this item.
        abandoned_at: Monotonic seconds since when nobody waits for it, 0: somebody does.
    """

    ticket: int
    key: RequestKey
    frame: dict[str, Any]
    versions: tuple[str, ...]
    time_limit_s: float
    owner: ActorAddress
    number: int = 0
    sent_at: float = 0.0
    stop: int = 0
    unstarted: int = 0
    abandoned_at: float = 0.0

    @property
    def first_vertex(self) -> int:
        """The vertex that is blamed when nothing better is known."""
        vertex: int = self.frame.get("first", self.frame.get("vertex", 0))
        return vertex

    def left_after(self, vertex: int) -> int:
        """Return how many invocations of a batch stand after ``vertex``, 0 if it is no batch."""
        if self.frame["t"] != "map":
            return 0
        end: int = self.stop or self.frame["first"] + self.frame["count"]
        return max(0, end - vertex - 1)

    @property
    def is_pinned(self) -> bool:
        """Whether only the executor that keeps the mapper can do it."""
        return bool(self.frame["t"] == "pull")


@dataclass(frozen=True, slots=True)
class Progress:
    """What an executor is at: number of the work (0: nothing), vertex, seconds since its start."""

    number: int
    vertex: int
    running_s: float


@dataclass(slots=True)
class Executor(asyncio.Protocol):
    """One executor process; the pool decides, this knows.

    Attributes:
        work: What was sent and not answered, oldest first, by its number.
        waiting: Pinned work that waits for room here.
        kept: Owners of the mappers that are kept suspended here.
        recalled: The highest number of work that it is to begin nothing more of.
        recalled_at: When that was said last, monotonic.
        blame: Why the node killed it, None when it did not.
    """

    page: mmap.mmap
    on_frame: Callable[[Executor, frames.Frame], None]
    on_lost: Callable[[Executor], None]
    born: float
    pid: int = 0
    state: str = "starting"
    invocations: int = 0
    work: dict[int, WorkItem] = field(default_factory=dict)
    waiting: deque[WorkItem] = field(default_factory=deque)
    loaded: set[str] = field(default_factory=set)
    kept: dict[tuple[RequestKey, int], ActorAddress] = field(default_factory=dict)
    recalled: int = 0
    recalled_at: float = 0.0
    blame: Failure | None = None
    _last: Progress | None = None
    _transport: asyncio.WriteTransport | None = None
    _decoder: frames.FrameDecoder = field(default_factory=frames.FrameDecoder)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]  # a stream socket's can write

    def data_received(self, chunk: bytes) -> None:
        """Hand each complete frame to the pool; what is no frame costs the executor."""
        try:
            for frame in self._decoder.feed(chunk):
                self.on_frame(self, frame)
        except FrameError as error:
            bad = Failure(kind="crash", type="BadFrame", message=str(error))
            self.kill(bad, self.progress())

    def connection_lost(self, _: Exception | None) -> None:
        """Tell the pool."""
        self.on_lost(self)

    def send(self, frame: frames.Frame) -> None:
        """Send a frame; one to an executor that is gone is dropped, its death is reported."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frames.encode(frame))

    def progress(self) -> Progress:
        """Return what it is at; of one that was killed, what it was killed for."""
        if self._last is not None:
            return self._last
        number, vertex, start_ns = PROGRESS.unpack_from(self.page, 0)
        running_s = (time.monotonic_ns() - start_ns) / 1e9 if start_ns else 0.0
        return Progress(number, vertex, running_s)

    @property
    def rss_bytes(self) -> int:
        """Its resident memory after its last work."""
        rss_bytes: int = RSS.unpack_from(self.page, RSS_AT)[0]
        return rss_bytes

    @property
    def is_divisible(self) -> bool:
        """Whether another executor could do some of its work."""
        return len(self.work) > 1 or any(i.frame.get("count", 1) > 1 for i in self.work.values())

    def recall(self, number: int, now: float) -> None:
        """Have it begin nothing more of its work up to ``number``."""
        self.recalled, self.recalled_at = number, now
        RECALLED.pack_into(self.page, RECALLED_AT, number)

    def kill(self, blame: Failure, progress: Progress) -> None:
        """Kill the process; ``blame`` is what the work that it was at failed of."""
        if self.blame is None and self.pid:
            self.blame = blame
            self._last = progress
            self.state = "dying"
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def kill_group(self) -> None:
        """Kill it and all that it started."""
        if self.pid:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Close the socket and the page."""
        if self._transport is not None:
            self._transport.close()
        self.page.close()
