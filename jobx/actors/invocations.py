"""The actors of invocations: each owns one work frame until an executor has answered it."""

from __future__ import annotations

from typing import Any

from thespian.actors import Actor, ActorAddress, ActorExitRequest

from jobx.actors.messages import Discard, KeptLost, Lost, Pull, Ran, RequestKey, Run, TakenBack
from jobx.actors.services import Services


class Invocation(Actor):
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
        if isinstance(message, Run):
            self._coordinator = sender
            self._key = message.key
            self._frame = message.frame
            self._at_work.add(message.ticket)
            self.node.executors.run(message, self.myAddress)
        elif isinstance(message, Ran):
            self._ran(message)
        elif isinstance(message, TakenBack):
            self._report(message)
        elif isinstance(message, Lost):
            self._at_work.discard(message.ticket)
            self._report(message)
        elif isinstance(message, Pull):
            self._at_work.add(message.ticket)
            self.node.executors.pull(message, self.myAddress)
        elif isinstance(message, KeptLost):
            self._kept.difference_update(message.vertices)
            self._report(message)
        elif isinstance(message, Discard):
            self._discard(message.vertex)
        elif isinstance(message, ActorExitRequest) and (self._at_work or self._kept):
            self.node.executors.abandon(self.myAddress)

    def _ran(self, message: Ran) -> None:
        if message.ticket not in self._at_work:
            return
        self._at_work.discard(message.ticket)
        for segment in message.segments:
            if segment[0] == "mapped" and segment[5]:
                self._kept.add(segment[1])
            else:
                self._kept.discard(segment[1])
        self._report(message)

    def _discard(self, vertex: int) -> None:
        if vertex in self._kept and self._key is not None:
            self._kept.discard(vertex)
            self.node.executors.discard(self._key, vertex, self.myAddress)
        self._leave_when_done()

    def _report(self, message: Ran | TakenBack | Lost | KeptLost) -> None:
        if self._coordinator is not None:
            self.send(self._coordinator, message)
        self._leave_when_done()

    def _leave_when_done(self) -> None:
        if not self._at_work and not self._kept:
            self.send(self.myAddress, ActorExitRequest())


class Mapper(Invocation):
    """Runs a batch of mappers, with their combiners and reducers when they can be run at once."""


class Reducer(Invocation):
    """Runs one partition of a reducer."""
