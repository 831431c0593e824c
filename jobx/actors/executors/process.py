"""One executor process as the node sees it: its socket, its shared page, the work it has."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from msgspec import Struct
from thespian.actors import ActorAddress

from jobx import frames, segments
from jobx.actors.messages import RequestKey
from jobx.actors.request.standing import Whereabouts
from jobx.errors import FrameError
from jobx.handlers.execution.shared_page import SharedPage
from jobx.model import Failure
from jobx.segments import Report, UnreadReport
from jobx.system.processes import is_stopped
from jobx.work import AnyWork, LoadHandler, MapWork, Order, PullWork

#: An executor is killed when its invocation exceeds the limit by this much.
OVERDUE_S: Final = 1.0


class WorkItem(Struct, eq=False):
    """Work on its way through the pool.

    Attributes:
        number: Its id on the wire, new each time it is sent.
        sent_at: When the executor could start it, monotonic.
        stop: The first vertex of a batch that was taken back; 0 if none was.
        unstarted: How often an executor died before it came to this item.
        returned: How often an executor gave it back before starting it.
        is_long: Its invocations are known to take long.
        requires: What its node must offer.
        foreign: What its node must offer, if this one does not; empty if it does.
        code: What to load for each of its versions.
        abandoned_at: When it lost its owner, monotonic seconds; 0 if it has one.
    """

    ticket: int
    key: RequestKey
    work: AnyWork
    owner: ActorAddress
    number: int = 0
    sent_at: float = 0.0
    stop: int = 0
    unstarted: int = 0
    abandoned_at: float = 0.0
    returned: int = 0
    is_long: bool = False
    requires: tuple[str, ...] = ()
    foreign: frozenset[str] = frozenset()
    code: dict[str, LoadHandler] = {}

    @property
    def vertices(self) -> range:
        """The vertices that it still contains."""
        vertices = self.work.vertices
        return range(vertices.start, self.stop or vertices.stop)

    @property
    def first_vertex(self) -> int:
        """The vertex that is blamed when nothing better is known."""
        return self.vertices.start

    @property
    def is_batch(self) -> bool:
        """Whether it is more than one invocation."""
        return len(self.work.vertices) > 1

    def left_after(self, vertex: int) -> int:
        """Return how many invocations of a batch follow ``vertex``; 0 if it is no batch."""
        if not isinstance(self.work, MapWork):
            return 0
        return max(0, self.vertices.stop - vertex - 1)

    @property
    def is_pinned(self) -> bool:
        """Whether only the executor with the suspended mapper can do it."""
        return isinstance(self.work, PullWork)


class Progress(Struct, frozen=True):
    """What an executor runs: number of the work (0: nothing), vertex, seconds since its start.

    ``stage`` is the stage of a mapper's trip; its time counts from the start of the stage.
    """

    number: int
    vertex: int
    running_s: float
    stage: str = "mapper"


@dataclass(slots=True)
class Executor(asyncio.Protocol):
    """One executor process; decisions are left to the pool.

    Attributes:
        work: Work that was sent and not answered, oldest first, by number.
        state: ``starting``, ``blank`` (ready, and without a seat yet), ``ready``, ``parked`` (it
            has lost its seat to another workflow), ``leaving`` (it said so), ``dying`` (it was
            killed, or closed its socket), ``dead``.
        state_since: When it entered that state, monotonic.
        workflow: The workflow that it belongs to; "" if none yet.
        has_seat: It gets work.
        since: When its workflow first had work for it after it got the seat, monotonic.
        idle_since: Since when it has no work, monotonic.
        was_ready: It could take work once.
        has_left: It said that it leaves: another one replaces it.
        is_used: Work was sent to it.
        waiting: Pinned work that waits for room here.
        suspended: The mappers that are suspended here, by owner.
        recalled: The highest number of recalled work.
        recalled_at: When the last recall was made, monotonic.
        stopped_looks: How often in a row it was seen stopped by a signal.
        blame: Why the node killed it; None if it did not.
    """

    page: SharedPage
    on_report: Callable[[Executor, Report | UnreadReport], None]
    on_lost: Callable[[Executor], None]
    born: float
    pid: int = 0
    workflow: str = ""
    state: str = "starting"
    state_since: float = 0.0
    has_seat: bool = True
    since: float = 0.0
    idle_since: float = 0.0
    was_ready: bool = False
    has_left: bool = False
    is_used: bool = False
    invocations: int = 0
    work: dict[int, WorkItem] = field(default_factory=dict)
    waiting: deque[WorkItem] = field(default_factory=deque)
    loaded: set[str] = field(default_factory=set)
    suspended: dict[ActorAddress, set[int]] = field(default_factory=dict)
    recalled: int = 0
    recalled_at: float = 0.0
    blame: Failure | None = None
    stopped_looks: int = 0
    _last: Progress | None = None
    _transport: asyncio.WriteTransport | None = None
    _decoder: frames.FrameDecoder = field(default_factory=frames.FrameDecoder)

    @property
    def shown_state(self) -> str:
        """Its state as people see it: ``busy`` when it is at work, ``blank`` before its seat."""
        if self.state == "starting" and not self.has_seat:
            return "blank"
        return "busy" if self.state == "ready" and self.work else self.state

    def enter(self, state: str, now: float) -> None:
        """Enter a state."""
        self.state, self.state_since = state, now

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]  # a stream socket's can write

    def data_received(self, chunk: bytes) -> None:
        """Hand each complete frame to the pool; one that cannot be read as ``UnreadReport``."""
        found: list[Report | UnreadReport] = []
        body: bytes | bytearray = b""
        try:
            for body in self._decoder.bodies(chunk):
                found.append(segments.decode(body))
        except FrameError as error:
            found.append(UnreadReport(frames.number_of(body), str(error)))
        for report in found:
            self.on_report(self, report)

    def connection_lost(self, _: Exception | None) -> None:
        """Tell the pool."""
        self.on_lost(self)

    def send(self, frame: Order) -> None:
        """Send a frame; one to a dead executor is dropped, since its death is reported."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frames.encode(frame))

    def progress(self) -> Progress:
        """Return what it runs; of a killed executor, what it was killed for."""
        if self._last is not None:
            return self._last
        number, vertex, start_ns = self.page.at_work()
        item = self.work.get(number)
        if item is not None and vertex not in item.work.vertices:
            number = vertex = 0  # it is just starting
        elif item is not None:
            vertex = min(vertex, item.vertices.stop - 1)  # it may be past what was taken back
        running_s = (time.monotonic_ns() - start_ns) / 1e9 if start_ns else 0.0
        is_trip = item is not None and isinstance(item.work, MapWork)
        return Progress(number, vertex, running_s, self.page.stage if is_trip else "mapper")

    def time_of(self, item: WorkItem, now: float) -> float:
        """Return how long it was at an item that it answers ``now``, in seconds.

        The page says when it began, unless it has begun the next one since. Code of authors can
        write to the page.
        """
        began = self.page.begun_at(item.number)
        return now - (began if item.sent_at <= began <= now else item.sent_at)

    def place_of(self, item: WorkItem, usual_s: float) -> Whereabouts:
        """Return where in this executor an item is; ``usual_s`` as in ``Whereabouts``."""
        progress, now = self.progress(), time.monotonic()
        if progress.number != item.number or not progress.number:
            return Whereabouts(
                "behind", item.sent_at or now, executor=self.pid, ahead=self._ahead(item)
            )
        return Whereabouts(
            "dying" if self.blame is not None else "running",
            now - progress.running_s,
            executor=self.pid,
            vertex=progress.vertex,
            lacks=f"{self.blame.type}: {self.blame.message}" if self.blame is not None else "",
            usual_s=usual_s,
            limit_s=item.work.limit_s(progress.stage) + OVERDUE_S,
            is_still=is_stopped(self.pid),
        )

    def _ahead(self, item: WorkItem) -> str:
        """Return in words what is done here before an item; empty if that is next."""
        front = next(iter(self.work.values()), item)
        if front is item:
            return ""
        name = self.at_work_on(front)
        return name if front.key == item.key else f"{name} of request {front.key.request_id}"

    def at_work_on(self, front: WorkItem) -> str:
        """Return which invocation of the work in front runs here, or is next."""
        progress = self.progress()
        vertex = progress.vertex if progress.number == front.number else front.first_vertex
        return f"{'r' if front.work.kind == 'reduce' else 'm'}{vertex}"

    def release(self, owner: ActorAddress, vertex: int) -> None:
        """Note that a mapper is no longer suspended here."""
        vertices = self.suspended.get(owner)
        if vertices is not None:
            vertices.discard(vertex)
            if not vertices:
                del self.suspended[owner]

    @property
    def rss_bytes(self) -> int:
        """Its resident memory after its last work."""
        return self.page.rss_bytes

    @property
    def is_divisible(self) -> bool:
        """Whether another executor could do some of its work."""
        if len(self.work) != 1:
            return len(self.work) > 1
        (item,) = self.work.values()
        return item.is_batch

    def recall(self, number: int, now: float) -> None:
        """Recall its work up to ``number``: it starts nothing more of that."""
        self.recalled, self.recalled_at = max(number, self.recalled), now
        self.page.recalled = self.recalled

    def kill(self, blame: Failure, progress: Progress) -> None:
        """Kill the process; ``blame`` is the reason why its running work failed."""
        if self.blame is None and self.pid:
            self.blame = blame
            self._last = progress
            self.enter("dying", time.monotonic())
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def kill_group(self) -> None:
        """Kill it and everything that it started."""
        if self.pid:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Close the socket and the page."""
        if self._transport is not None:
            self._transport.close()
        self.page.close()
