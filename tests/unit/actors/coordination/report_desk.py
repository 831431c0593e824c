"""A request whose root is at work, and what takes reports for it."""

from __future__ import annotations

from typing import Any, cast

from jobx import values
from jobx.actors.coordination.executor_reports import ExecutorReports
from jobx.actors.coordination.journal import Journal
from jobx.actors.messages import RequestKey
from jobx.actors.metrics import Metrics
from jobx.actors.ports import Services
from jobx.actors.request.branches import ROOT
from jobx.actors.request.decisions import Pace, PullMapper, RunMappers
from jobx.actors.request.events import Accepted, Event, Mapped, Retried
from jobx.actors.request.state import RequestState
from jobx.actors.runtime.address import Address
from jobx.config import Settings
from jobx.config_sections import NodeSettings, RequestSettings
from jobx.model import HandlerRef, Plan, PlanStep, Retry
from jobx.payload import Payload, pack_offsets
from tests.support import frames
from tests.unit.actors.request.driver import LOST, done

ACTOR = Address("n", 1, 1)
LIMITS = RequestSettings(lost_attempts=3, max_invocations=20, max_tree_depth=2, max_bytes=1 << 20)
SETTINGS = Settings(node=NodeSettings(capabilities=("general",)), requests=LIMITS)


class Alone:
    """A node without peers."""

    settings = SETTINGS
    own = frozenset(SETTINGS.capabilities)
    missing = Services.missing

    def __init__(self) -> None:
        self.metrics = Metrics()

    def others(self, _workflow: str, _gone_s: float) -> list[frozenset[str]] | None:
        return []


def ref(name: str, **fields: Any) -> HandlerRef:
    return HandlerRef(handler_name=name, version=name, **fields)


STEP = PlanStep(mapper=ref("map", retry=Retry(attempts=2, backoff_s=4.0)), reducer=ref("sum"))
PLAN = Plan(
    steps={
        "s": STEP,
        "gpu": PlanStep(mapper=ref("map"), reducer=ref("sum", required_capability="gpu")),
    }
)


ARGUMENTS = values.pack([["text", "a b"]])


class FakeJournal:
    """A journal that only remembers."""

    key = RequestKey("w", "r")

    def __init__(self, state: RequestState) -> None:
        self.state = state
        self.appended: list[tuple[Event, bool]] = []

    def now_at(self) -> float:
        return 5.0

    def append(self, event: Event, *, urgent: bool = False) -> None:
        self.state.apply(event)
        self.appended.append((event, urgent))


class Desk:
    """A request whose root is at work, and what takes answers for it."""

    def __init__(self, *, may_wait: bool = False) -> None:
        self.state = RequestState(PLAN)
        size = len(ARGUMENTS)
        payload = Payload(1, size, ARGUMENTS, offsets=pack_offsets([size]))
        self.state.apply(Accepted(1.0, "j", "s", "p", payload, 60.0, may_wait=may_wait))
        self.pace = Pace()
        self.journal = FakeJournal(self.state)
        journal = cast("Journal", self.journal)
        self.outcomes = ExecutorReports(journal, self.state, self.pace, cast("Services", Alone()))
        self.root = RunMappers(self.state.tree.chunks[ROOT], ROOT, 1)
        self.take_all()

    def take_all(self) -> list[int]:
        found = []
        while (taken := self.state.ready.take_range(lambda *_: 1)) is not None:
            found.append(taken[1])
        return found

    def hear(self, work: Any, *segment: Any) -> list[Event]:
        """Take a segment and return the events that follow."""
        before = len(self.journal.appended)
        self.outcomes.take(work, ACTOR, *frames.read([segment]))
        return [event for event, _ in self.journal.appended[before:]]

    def pull(self) -> PullMapper:
        """Take a suspended mapper, to be asked for more."""
        taken = self.state.ready.take_pull(1000, 1)
        assert taken is not None
        return PullMapper(taken[0], 1, taken[1])

    def children(self, payload: Payload) -> RunMappers:
        """Let the root map children and be done; they are at work."""
        self.state.apply(Mapped(1.0, ROOT, ROOT, "s", 1, payload.count, payload, "d"))
        self.state.apply(done(ROOT, ROOT, outcome="mapped"))
        self.take_all()
        return RunMappers(self.state.tree.chunks[1], 1, payload.count)


def failed_fields(kind: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "type": "ValueError", "message": "wrong"} | more


def chunk_wire(count: int, blob: str | None = None) -> list[Any]:
    ends = pack_offsets(range(1, count + 1))
    return Payload(count, count, None if blob else b"." * count, blob, offsets=ends).to_wire()


CHUNK = Payload.from_wire(chunk_wire(3))


def again(vertex: int) -> Retried:
    return Retried(1.0, "map", ROOT, vertex, 1, 2, 0.0, LOST)
