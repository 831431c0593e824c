"""The journal of a coordinator: each event is applied to the state and appended to the log."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace
from thespian.actors import ActorAddress

from jobx import model
from jobx.actors import notification
from jobx.actors.coordination.endings import ended
from jobx.actors.messages import RequestKey
from jobx.actors.notification import Notification
from jobx.actors.ports import Services
from jobx.actors.recovery import shows_progress
from jobx.actors.request.decisions import Finish
from jobx.actors.request.events import Adopted, Event, Finished, to_record
from jobx.actors.request.state import RequestState
from jobx.kv.requests import deliveries, event_log, kept_requests, request_entity
from jobx.kv.requests.lives import Mark
from jobx.kv.store import Write

#: Most notifications of events that are not durable yet; beyond that the oldest are dropped.
MAX_UNTOLD: Final = 10_000


class Journal:
    """Writes the log of one request.

    Attributes:
        request: Its entity; with its end once that is durable.
        now_at: The wall clock, for readers of the log.
        committed: Number of the last durable event; -1 before the first.
        adopted: Number of the event by which it was taken over; 0: it began here.
        adopted_from: The node that coordinated it before, if it was another one.
    """

    def __init__(
        self, node: Services, owner: ActorAddress, request: model.Request, state: RequestState
    ) -> None:
        self.key = RequestKey(request.workflow_name, request.request_id)
        self.request = request
        self.now_at = node.now_at
        self.committed = -1
        self.adopted = 0
        self.adopted_from = ""
        self._ended: model.Request | None = None
        #: The node that has the open marker of the request.
        self._owner_id = request.coordinator or node.node_id
        #: The first event that shows progress; a new request needs none.
        self._progress: int | None = 0
        self._untold: deque[tuple[int, Notification]] = deque(maxlen=MAX_UNTOLD)
        self._node = node
        self._owner = owner
        self._state = state

    @property
    def uncommitted(self) -> int:
        """Events that are not durable yet."""
        return self._state.events - 1 - self.committed

    @property
    def is_accepted(self) -> bool:
        """Whether the request is durable."""
        return self.committed >= 0

    @property
    def has_progressed(self) -> bool:
        """Whether an event that shows progress has become durable since the log was replayed."""
        return self._progress is not None and self.committed >= self._progress

    def replay(self, events: Sequence[Event]) -> None:
        """Apply the events that are in the log already."""
        for event in events:
            self._state.apply(event)
        self._progress = None
        self.committed = self._state.events - 1

    def adopt(self, mark: Mark) -> None:
        """Make the request one of this node, with the mark if another one has it so far."""
        node_id, owner_id = self._node.node_id, self._owner_id
        accepted = self._state.accepted
        plan = accepted.plan if accepted is not None else self.request.plan
        self.request = replace(self.request, coordinator=node_id, plan=plan)
        writes: list[Write] = []
        self.adopted = self._state.events
        if owner_id != node_id:
            self.adopted_from = owner_id
            marked = replace(mark, events=self._state.events + 1)
            writes = request_entity.adopt_writes(self.request, owner_id, marked)
            self._owner_id = node_id
        self.append(Adopted(self.now_at(), node_id, self._node.incarnation), writes)

    def append(
        self,
        event: Event,
        writes: Sequence[Write] = (),
        *,
        urgent: bool = False,
        first: Callable[[], object] | None = None,
    ) -> None:
        """Apply an event and append it; ``writes`` become durable with it.

        An event that is not urgent may wait a moment for other appends. What must be done ``first``
        is called in a thread; see ``Log.append``.
        """
        number = self._state.events
        self._state.apply(event)
        record = to_record(event)
        if self._progress is None and shows_progress([record["event"]]):
            self._progress = number
        if type(event) in notification.TOLD:
            for untold in notification.of_event(self.request, event):
                self._untold.append((number, untold))
        write = event_log.event_write(*self.key, number, record)
        metrics = self._node.metrics
        metrics.events += 1
        metrics.event_bytes += len(write.value)
        self._node.log.append(self.key, self._owner, number, [*writes, write], urgent, first=first)

    def became_durable(self, number: int) -> None:
        """Note that all events up to ``number`` are durable, and send their notifications."""
        self.committed = number
        while self._untold and self._untold[0][0] <= number:
            self._node.notify(self._untold.popleft()[1])
        if self._ended is not None and number == self._state.events - 1:
            self.request = self._ended

    def finish(self, decision: Finish) -> None:
        """Append the last event, with the request's entity and indexes."""
        finished = Finished(self.now_at(), decision.state, decision.failure, decision.result)
        node_id = self._node.node_id
        self._ended = replace(ended(self.snapshot(), finished), coordinator=node_id)
        accepted = self._state.accepted
        plan = accepted.plan if accepted is not None else ""
        events = self._state.events + 1
        size_bytes = self._state.passed_bytes + self._state.data_bytes
        place = self._owner_id, plan, events, size_bytes
        writes = request_entity.finish_writes(self._ended, *place)
        if self._ended.destination is not None:
            writes += deliveries.begin_writes(self._ended, node_id)
        # Who died may have left data of stages that no event names.
        may_have_data = self._state.data_bytes or self._state.retried_count or self.adopted
        if may_have_data and self._node.settings.retention.drops_data(finished.state):
            writes.append(kept_requests.drop_data_write(*self.key))
        self.append(finished, writes, urgent=True)

    def snapshot(self) -> model.Request:
        """Return the current entity of the request."""
        if self.request.is_done:
            return self.request
        return replace(self.request, counts=self._state.counts)
