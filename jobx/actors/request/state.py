"""The state of one request, the sum of its events. No I/O, no clock, no randomness.

Only ``RequestState.apply`` changes the state, by an event. The same events give the same state, so
a new coordinator reads the log and continues. ``tree.py`` has the known mappers. ``ready.py`` has
the work that may start, in memory only; ``Adopted`` rebuilds it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from jobx.actors.request.branches import COMBINER, MAPPER, ROOT, Branch, Chunk, Output, Target
from jobx.actors.request.capabilities import Foreign
from jobx.actors.request.events import (
    Accepted,
    Adopted,
    Cancelled,
    Done,
    Event,
    Failed,
    Finished,
    Mapped,
    Retried,
)
from jobx.actors.request.ready import Delay, Ready
from jobx.actors.request.retry import FIRST, Attempt
from jobx.actors.request.tree import Tree
from jobx.model import Counts, Failure, Plan
from jobx.payload import Payload, StageData

#: Partitions of a reduction that is too large for one; fixed, so that results depend on no node.
PARTITIONS: Final = 8
#: What a small blob takes on most disks.
LEAST_DATA_BYTES: Final = 4 << 10
#: Most characters of an error that a back-off remembers.
ERROR_CHARACTERS: Final = 200
#: Why a mapper runs again after its combiner or reducer failed in the same trip.
_WITH_ITS_MAPPER: Final = Failure(kind="lost", type="Lost", message="its output was not kept")


class RequestState:
    """The sum of the events of one request.

    Args:
        plan: Its steps.
        foreign: What work of them only other nodes can do.

    Attributes:
        tree: The known mappers and their outputs.
        ready: The work that may start.
        attempts: The tries of retried targets.
        events: Number of events, which is the number of the next one.
        data_bytes: Bytes on disk of what stages of mappers yielded.
        passed_bytes: Bytes of keys and values that invocations passed on, also in vain.
    """

    def __init__(self, plan: Plan, foreign: Foreign = Foreign()) -> None:  # noqa: B008 - frozen
        self.plan = plan
        self.partition_bytes = 0
        self.accepted: Accepted | None = None
        self.finished: Finished | None = None
        self.failure: Failure | None = None
        self.cancelled: str | None = None
        self.result: tuple[Payload, ...] | None = None
        self.tree = Tree()
        self.ready = Ready(self.tree, foreign)
        self.attempts: dict[Target, Attempt] = {}
        self.events = 0
        self.passed_bytes = 0
        self.data_bytes = 0
        self._last_data = ""
        self.retried_count = 0
        self.invocation_count = 0

    def apply(self, event: Event) -> None:
        """Take the next event of the log."""
        _APPLY[type(event)](self, event)
        self.events += 1
        if isinstance(event, Mapped):
            self.passed_bytes += event.payload.size_bytes
        elif isinstance(event, Done):
            for payload in event.payloads:
                self.passed_bytes += payload.size_bytes
        if isinstance(event, Done | Retried | Failed) and event.data is not None:
            self._note_data(event.data)

    @property
    def is_running(self) -> bool:
        """Whether work may still be started."""
        return self.failure is None and self.cancelled is None and self.result is None

    @property
    def counts(self) -> Counts:
        """How much was done so far."""
        return Counts(
            mapped=self.tree.mapped_count,
            finished=self.tree.finished_count,
            retried=self.retried_count,
            invocations=self.invocation_count,
        )

    def attempt(self, target: Target) -> Attempt:
        """Return where the tries of a target stand."""
        return self.attempts.get(target, FIRST)

    def _note_data(self, data: StageData) -> None:
        """Count the data of stages; several events in a row may refer to the same blob."""
        if data.blob != self._last_data:
            self._last_data = data.blob
            self.data_bytes += max(data.size_bytes, LEAST_DATA_BYTES)

    def _accepted(self, event: Accepted) -> None:
        self.accepted = event
        self.partition_bytes = event.partition_bytes
        root = Mapped(event.at, ROOT, MAPPER, event.step, ROOT, 1, event.arguments, "")
        self.ready.add_chunk(self.tree.add(root, None))

    def _mapped(self, event: Mapped) -> None:
        parent_chunk = self.tree.chunks.get(event.chunk)
        if parent_chunk is None:
            return
        branch = self.tree.branches.get(event.parent)
        if branch is not None and branch.earlier and branch.earlier[0].start == event.start:
            chunk = branch.take_over(event.payload)
        elif event.start >= self.tree.next_vertex:
            branch = self.tree.branch(event.parent, parent_chunk)
            self.ready.discard(self.tree.drop_earlier(branch))
            chunk = self.tree.add(event, branch)
        else:
            return  # a duplicate
        self.ready.add_chunk(chunk)

    def _done(self, event: Done) -> None:
        if event.kind == "reduce":
            self._reduced(event)
            return
        chunk = self.tree.chunks.get(event.chunk)
        if chunk is None or chunk.finished.overlaps(event.first, event.first + event.count):
            return
        if event.outcome == "reduced":
            self._returned(event, chunk)
        else:
            self._completed(event, chunk)

    def _returned(self, event: Done, chunk: Chunk) -> None:
        """Take mappers that returned data, which their combiners and reducers had already."""
        has_combiner = self.plan.steps[chunk.step].combiner is not None
        self.invocation_count += event.count * (2 + has_combiner)
        if self.attempts:  # an earlier one may have mapped on
            self.ready.discard(self.tree.drop_branches(event.first, event.count))
        self._settle(chunk, event.first, event.count, event.payloads)

    def _completed(self, event: Done, chunk: Chunk) -> None:
        """Take a mapper whose reducer is still to come."""
        branch = self.tree.branch(event.first, chunk)
        if branch.complete:
            return  # a duplicate
        self.invocation_count += 1
        if event.outcome == "combined":
            self.invocation_count += self.plan.steps[chunk.step].combiner is not None
            self.tree.keep_output(branch, event.first, Output(1, event.payloads))
        if branch.earlier:
            self.ready.discard(self.tree.drop_earlier(branch))
        self.tree.complete(branch)
        branch.session = event.notes.get(event.first, {}).get("session", {})
        self._gather(branch)

    def _reduced(self, event: Done) -> None:
        branch = self.tree.branches.get(event.first)
        if branch is None or not branch.partitions or event.partition in branch.parts:
            return
        self.invocation_count += 1
        branch.parts[event.partition] = event.payloads
        if len(branch.parts) == branch.partitions:
            parts = [item for p in sorted(branch.parts) for item in branch.parts[p]]
            self.tree.forget(branch)
            self._settle(branch.chunk, branch.vertex, 1, tuple(parts))

    def _settle(self, chunk: Chunk, first: int, count: int, payloads: tuple[Payload, ...]) -> None:
        parent = self.tree.settle(chunk, first, count, payloads)
        if parent is None:
            self.result = payloads
        else:
            self._gather(parent)

    def _gather(self, branch: Branch) -> None:
        """Make the reducer of a branch ready once nothing of its input is missing."""
        if not branch.complete or branch.open or branch.partitions:
            return
        is_large = branch.size_bytes > self.partition_bytes
        is_parted = is_large and self.plan.steps[branch.step].reducer.per_key
        self.tree.gather(branch, PARTITIONS if is_parted else 1)
        self.ready.add_reduces(branch)

    def _retried(self, event: Retried) -> None:
        self.retried_count += event.count
        chunk = self.tree.chunks.get(event.chunk)
        if chunk is None:
            return
        if event.kind != "map":
            self._later_retried(event, chunk)
            return
        first, stop = event.first, event.first + event.count
        if event.failure.kind == "blob":
            self._note_lost(event)
        if chunk.finished.overlaps(first, stop):
            self.tree.unsettle(chunk, first, event.count)
        for vertex in range(first, stop):
            self._restart(vertex, event.failure)
            if event.delay_s:
                self.ready.delayed[vertex, MAPPER] = _delay(event)
        if not event.delay_s:
            self.ready.add_range(chunk, first, stop)

    def _later_retried(self, event: Retried, chunk: Chunk) -> None:
        """Try a combiner or reducer again: alone if its input is kept, else with its mapper."""
        vertex = event.first
        target = (vertex, COMBINER if event.kind == "combine" else event.partition)
        self.attempts[target] = self.attempt(target).after(event.failure)
        branch = self.tree.branches.get(vertex)
        if event.kind == "reduce" and branch is not None and branch.partitions:
            self.ready.withhold(target)
            branch.idle.add(event.partition)
        elif chunk.finished.overlaps(vertex, vertex + 1):
            return  # it was of an earlier attempt
        else:
            target = (vertex, MAPPER)
            self._restart(vertex, _WITH_ITS_MAPPER)
        if event.delay_s:
            self.ready.delayed[target] = _delay(event)
        else:
            self.ready.release(target)

    def _note_lost(self, event: Retried) -> None:
        """Note a blob that is gone when the retried invocations are those that left it."""
        blob = event.failure.input or ""
        if self.tree.producer_of(blob) == (event.chunk, event.first, event.count):
            self.ready.hold_back(blob)

    def _restart(self, vertex: int, failure: Failure) -> None:
        """Begin the attempt of a mapper that follows a failure."""
        target = (vertex, MAPPER)
        self.attempts[target] = self.attempt(target).after(failure)
        branch = self.tree.branches.get(vertex)
        if branch is not None:
            self.tree.restart(branch)
        self.ready.discard((vertex,))

    def _adopted(self, event: Adopted) -> None:
        lost = Failure(kind="lost", type="NodeRestarted", message="the node was restarted")
        for branch in self.tree.branches.values():
            if not branch.complete:
                self._restart(branch.vertex, lost)
        self.ready.renew()

    def _failed(self, event: Failed) -> None:
        if self.failure is None:
            self.failure = event.failure

    def _cancelled(self, event: Cancelled) -> None:
        self.cancelled = event.reason

    def _finished(self, event: Finished) -> None:
        self.finished = event
        self.failure = event.failure


def _delay(event: Retried) -> Delay:
    """Return the back-off of a retry."""
    failure = event.failure
    error = f"{failure.type}: {failure.message}"[:ERROR_CHARACTERS]
    return Delay(event.delay_s, error, failure.kind)


_APPLY: Final[dict[type[Event], Callable[[RequestState, Any], None]]] = {
    Accepted: RequestState._accepted,
    Mapped: RequestState._mapped,
    Done: RequestState._done,
    Retried: RequestState._retried,
    Failed: RequestState._failed,
    Cancelled: RequestState._cancelled,
    Adopted: RequestState._adopted,
    Finished: RequestState._finished,
}
