"""The actor of a batch: owns its work at an executor, and its suspended mappers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from thespian.actors import ActorAddress, ActorExitRequest

from jobx.actors.messages import Discard, Lost, Pull, Ran, Run, SuspendedLost, TakenBack
from jobx.actors.ports import Services
from jobx.actors.runtime.actor import LoopActor
from jobx.segments import MappedChunk
from jobx.work import MapWork


class Batch(LoopActor):
    """Runs a batch in an executor: sibling mappers, or one partition of a reducer.

    It reports to the coordinator that created it, and ends when no executor has its work or one of
    its suspended mappers. If it is ended earlier, it abandons both.

    Args:
        run: The work.
    """

    may_leave = True
    node: Services

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run
        #: Tickets without an answer, each with the suspended mapper that was asked.
        self._at_work: dict[int, int | None] = {run.ticket: None}
        self._suspended: set[int] = set()
        self.node.executors.run(run, self.myAddress)

    @property
    def is_busy(self) -> bool:
        """Whether the actor tree shows it as working: an executor has its work or will get it."""
        return bool(self._at_work)

    def describe(self) -> str:
        """Return what the actor tree shows."""
        work = self._run.work
        if isinstance(work, MapWork):
            return f"Batch {work.step} m{work.first} x{work.count}"
        return f"Batch {work.step} r{work.vertex}"

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:  # noqa: N802 - Thespian's
        """Take the next message."""
        receive = _RECEIVE.get(type(message))
        if receive is not None:
            receive(self, message)

    def _pull(self, message: Pull) -> None:
        self._at_work[message.ticket] = message.work.vertex
        self.node.executors.pull(message, self.myAddress)

    def _ran(self, message: Ran) -> None:
        if message.ticket not in self._at_work:
            return
        del self._at_work[message.ticket]
        for segment in message.segments:
            if isinstance(segment, MappedChunk) and segment.more:
                self._suspended.add(segment.vertex)
            else:
                self._suspended.discard(segment.vertex)
        self._report(message)

    def _lost(self, message: Lost) -> None:
        asked = self._at_work.pop(message.ticket, None)
        if asked is not None:
            self._close(asked)
        self._report(message)

    def _suspended_lost(self, message: SuspendedLost) -> None:
        self._suspended.difference_update(message.vertices)
        self._report(message)

    def _discard(self, message: Discard) -> None:
        self._close(message.vertex)
        self._leave_when_done()

    def _close(self, vertex: int) -> None:
        """Drop a suspended mapper, unless it is gone already."""
        if vertex in self._suspended:
            self._suspended.discard(vertex)
            self.node.executors.discard(self._run.key, vertex, self.myAddress)

    def _exit(self, _: ActorExitRequest) -> None:
        if self._at_work or self._suspended:
            self.node.executors.abandon(self._run.key, self.myAddress)

    def _report(self, message: Ran | TakenBack | Lost | SuspendedLost) -> None:
        self.send(self.parent, message)
        self._leave_when_done()

    def _leave_when_done(self) -> None:
        if not self._at_work and not self._suspended:
            self.leave()


_RECEIVE: Final[dict[type, Callable[[Batch, Any], None]]] = {
    Pull: Batch._pull,
    Ran: Batch._ran,
    Lost: Batch._lost,
    SuspendedLost: Batch._suspended_lost,
    TakenBack: Batch._report,
    Discard: Batch._discard,
    ActorExitRequest: Batch._exit,
}
