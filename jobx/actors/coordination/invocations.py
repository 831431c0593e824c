"""The actors of invocations: each owns one work frame until an executor has answered it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from thespian.actors import ActorAddress, ActorExitRequest

from jobx.actors.messages import Discard, KeptLost, Lost, Pull, Ran, RequestKey, Run, TakenBack
from jobx.actors.ports import Services
from jobx.actors.runtime.actor import LoopActor


class Invocation(LoopActor):
    """Runs one work frame in an executor and reports to its coordinator.

    It ends when its work has been reported and it keeps no suspended mapper.
    """

    node: Services

    def __init__(self) -> None:
        super().__init__()
        self._coordinator: ActorAddress | None = None
        self._key: RequestKey | None = None
        self._frame: dict[str, Any] = {}
        self._kept: set[int] = set()
        self._at_work: set[int] = set()

    @property
    def is_busy(self) -> bool:
        """Whether the actor tree shows it at work: an executor has its work, or is to get it."""
        return bool(self._at_work)

    def describe(self) -> str:
        """Return what the actor tree shows."""
        frame = self._frame
        what = f"{type(self).__name__} {frame.get('step', '')}"
        if "first" in frame:
            return f"{what} m{frame['first']} x{frame['count']}"
        return f"{what} r{frame.get('vertex', '')}"

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:  # noqa: N802 - Thespian's
        """Take the next message."""
        receive = _RECEIVE.get(type(message))
        if receive is not None:
            receive(self, message, sender)

    def _run(self, message: Run, sender: ActorAddress) -> None:
        self._coordinator = sender
        self._key = message.key
        self._frame = message.frame
        self._at_work.add(message.ticket)
        self.node.executors.run(message, self.myAddress)

    def _pull(self, message: Pull, _: ActorAddress) -> None:
        self._at_work.add(message.ticket)
        self.node.executors.pull(message, self.myAddress)

    def _ran(self, message: Ran, _: ActorAddress) -> None:
        if message.ticket not in self._at_work:
            return
        self._at_work.discard(message.ticket)
        for segment in message.segments:
            if segment[0] == "mapped" and segment[5]:
                self._kept.add(segment[1])
            else:
                self._kept.discard(segment[1])
        self._report(message)

    def _lost(self, message: Lost, _: ActorAddress) -> None:
        self._at_work.discard(message.ticket)
        self._report(message)

    def _kept_lost(self, message: KeptLost, _: ActorAddress) -> None:
        self._kept.difference_update(message.vertices)
        self._report(message)

    def _taken_back(self, message: TakenBack, _: ActorAddress) -> None:
        self._report(message)

    def _discard(self, message: Discard, _: ActorAddress) -> None:
        vertex = message.vertex
        if vertex in self._kept and self._key is not None:
            self._kept.discard(vertex)
            self.node.executors.discard(self._key, vertex, self.myAddress)
        self._leave_when_done()

    def _exit(self, _message: ActorExitRequest, _: ActorAddress) -> None:
        if self._at_work or self._kept:
            self.node.executors.abandon(self.myAddress)

    def _report(self, message: Ran | TakenBack | Lost | KeptLost) -> None:
        if self._coordinator is not None:
            self.send(self._coordinator, message)
        self._leave_when_done()

    def _leave_when_done(self) -> None:
        if not self._at_work and not self._kept:
            self.leave()


class Mapper(Invocation):
    """Runs a batch of mappers, with their combiners and reducers when they can be run at once."""


class Reducer(Invocation):
    """Runs one partition of a reducer."""


_RECEIVE: Final[dict[type, Callable[[Invocation, Any, ActorAddress], None]]] = {
    Run: Invocation._run,
    Pull: Invocation._pull,
    Ran: Invocation._ran,
    Lost: Invocation._lost,
    KeptLost: Invocation._kept_lost,
    TakenBack: Invocation._taken_back,
    Discard: Invocation._discard,
    ActorExitRequest: Invocation._exit,
}
