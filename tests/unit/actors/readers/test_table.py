"""A request that is removed while its log is read is absent: neither damaged nor short."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from jobx import entity_json, model, questions
from jobx.actors.readers.folds import Folds
from jobx.actors.readers.table import table
from jobx.actors.request.events import Accepted, Done, Event, Finished, Mapped, to_record
from jobx.errors import EntryDamaged, NotFound
from jobx.kv import keys
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import event_log
from jobx.kv.store import Delete, DeletePrefix, Entry, Put, Write
from jobx.model import HandlerRef, Plan, PlanStep
from tests.unit.actors.inspection.dumps.samples import items

KEY: Final[Any] = {"workflow": "w", "request_id": "r"}
ENTITY: Final = Delete(keys.entity("request", "w", "r"))
FAILURE: Final = model.Failure(kind="author", type="ValueError", message="no", invocation_id="m7")
#: More events than are read at once.
CHILDREN: Final = 600
READ: Final[tuple[Any, ...]] = (
    questions.GetTrace(**KEY, limit=10),
    questions.GetInvocation(**KEY, invocation_id="m599"),
    questions.GetGraph(**KEY, limit=10),
    questions.ExplainRequest(**KEY),
    questions.GetSummary(**KEY),
    questions.GetTree(**KEY),
    questions.ListInvocations(**KEY),
    questions.GetTimeline(**KEY),
    questions.ReadProgress(**KEY, after=[-1]),
    questions.GetDump(**KEY),
)
#: What a janitor does: it removes all at once, or hides the request and removes its events.
REMOVALS: Final[dict[str, list[Write]]] = {
    "all of it": [ENTITY, DeletePrefix(keys.log("w", "r"))],
    "its first events": [ENTITY, *(Delete(keys.event("w", "r", n)) for n in range(100))],
}


class Raced(MemoryStore):
    """Writes something at a read of a log: once so many reads of logs have been answered."""

    def __init__(self, reads: int, writes: list[Write]) -> None:
        super().__init__()
        self._reads = reads
        self._writes = writes

    def range(self, prefix: str, **how: Any) -> list[Entry]:
        if prefix.startswith(keys.REQUESTS):
            if not self._reads:
                self.commit(self._writes)
            self._reads -= 1
        return super().range(prefix, **how)


def log() -> Iterator[Event]:
    yield Accepted(1.0, "j", "fan", "plan", items(["all", 0]), 60.0)
    yield Mapped(2.0, 0, 0, "fan", 1, CHILDREN, items(*[["one", 1]] * CHILDREN), "digest")
    for vertex in range(1, CHILDREN):
        yield Done(3.0, "map", 1, vertex, 1, "reduced", durations=bytes(12))
    yield Finished(4.0, "failed", FAILURE)


def raced(reads: int, writes: list[Write]) -> Raced:
    store = Raced(reads, writes)
    request = model.Request(
        workflow_name="w", request_id="r", job_name="j", invocation_id="m0", accepted_at=1.0,
        state="failed", is_done=True, finished_at=4.0, failure=FAILURE,
    )  # fmt: skip
    ref = HandlerRef(handler_name="handler", version="0" * 64)
    plan = Plan(steps={"fan": PlanStep(mapper=ref, reducer=ref)})
    store.commit([
        Put(keys.entity("request", "w", "r"), entity_json.encode(request)),
        Put(keys.plan("w", "plan"), entity_json.encode(plan)),
        *(event_log.event_write("w", "r", n, to_record(one)) for n, one in enumerate(log())),
    ])  # fmt: skip
    return store


def said(store: Raced, asked: Any) -> str:
    answers: Any = table(Folds())
    try:
        found = answers[type(asked)](store, asked)
        while isinstance(asked, questions.GetDump | questions.ReadDump) and not found.is_last:
            number = asked.number + 1 if isinstance(asked, questions.ReadDump) else 1
            asked = questions.ReadDump(dump_id=found.dump_id, number=number)
            found = answers[type(asked)](store, asked)
    except NotFound as error:
        return str(error)
    return f"answered {found!r:.200}"


@pytest.mark.parametrize("reads", [0, 1])
@pytest.mark.parametrize("writes", REMOVALS.values(), ids=REMOVALS)
def test_request_that_is_removed_while_its_log_is_read_is_not_found(
    writes: list[Write], reads: int
) -> None:
    answers = {type(asked).__name__: said(raced(reads, writes), asked) for asked in READ}
    assert answers == {type(asked).__name__: str(NotFound("request", "w/r")) for asked in READ}


def test_log_that_lacks_an_event_is_damaged_while_its_request_is_there() -> None:
    store, answers = raced(0, [Delete(keys.event("w", "r", 5))]), table(Folds())
    with pytest.raises(EntryDamaged, match="it is missing"):
        answers[questions.GetSummary](store, questions.GetSummary(**KEY))
