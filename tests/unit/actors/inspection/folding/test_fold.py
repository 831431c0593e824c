"""What a fold keeps of a log equals what a plain replay of it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from jobx import questions, views
from jobx.actors.inspection import log_causes
from jobx.actors.inspection.folding import glance, view_file
from jobx.actors.inspection.folding.failures import line_of
from jobx.actors.inspection.folding.fold import Fold
from jobx.actors.inspection.folding.summary import summarize
from jobx.actors.inspection.folding.view_columns import Chunks
from jobx.actors.readers import folds
from jobx.actors.readers.folds import Folds
from jobx.actors.readers.table import Table, table
from jobx.actors.request.events import Accepted, Done, Event, Mapped, from_record, to_record
from jobx.actors.request.state import RequestState
from jobx.errors import EntryDamaged
from jobx.kv import keys
from jobx.kv.blobs import BlobFolder
from jobx.kv.entries import decoded
from jobx.kv.requests import event_log
from jobx.model import Failure, Plan
from jobx.payload import Payload
from tests.simulation.simulator import WORKFLOW, Simulation
from tests.support import plain_views as plain

NAMES = ("r0", "r1")
#: Runs of whole requests with deaths, retries, cancels and lost outputs.
SEEDS = range(12)


@pytest.fixture(scope="module", params=SEEDS)
def simulation(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Simulation:
    simulation = Simulation(request.param, tmp_path_factory.mktemp("simulation"))
    for number, name in enumerate(NAMES):
        simulation.submit(name, is_blocking=number == 0)
    simulation.run(list(NAMES))
    return simulation


def logs(simulation: Simulation) -> Iterator[tuple[str, list[Event]]]:
    """Yield the log of each request.

    Of a reducer in partitions the log does not say that it is one before its second partition.
    """
    for name in NAMES:
        records = event_log.read(simulation.store, WORKFLOW, name)
        events = [from_record(record) for _, record in records]
        if not any(isinstance(event, Done) and event.partition for event in events):
            yield name, events


def body(event: Event) -> bytes:
    return event_log.encode_record(to_record(event))


def plan_of(simulation: Simulation, events: list[Event]) -> Plan:
    accepted = events[0]
    assert isinstance(accepted, Accepted)
    entry = simulation.store.get(keys.plan(WORKFLOW, accepted.plan))
    assert entry is not None
    return decoded(Plan, entry)


def test_causes_of_a_log_are_those_of_its_events_one_by_one(simulation: Simulation) -> None:
    for name, events in logs(simulation):
        plan = plan_of(simulation, events)
        together, alone = log_causes.CauseFold(lambda _, plan=plan: plan), log_causes.LogCauses()
        for number, event in enumerate(events):
            together.take(number, body(event))
            alone.take(number, event)
            if not number:
                alone.begin(plan)
            if number % 7 == 0 or number == len(events) - 1:
                together.flush()
                assert together.causes.left() == alone.left(), f"{name}, event {number}"


def test_counts_are_those_of_the_state_after_each_event(simulation: Simulation) -> None:
    for name, events in logs(simulation):
        plan = plan_of(simulation, events)
        state = RequestState(plan)
        combined = {step for step, one in plan.steps.items() if one.combiner is not None}
        fold = Fold(lambda _, combined=combined: combined)  # type: ignore[misc]  # a default
        for number, event in enumerate(events):
            state.apply(event)
            fold.take(number, glance.at(body(event)))
            request = RUNNING if not fold.is_done else None
            if request is not None:
                counts = summarize(fold, request).request.counts
                assert counts == state.counts, f"{name}, event {number}"


RUNNING = views.RequestView(
    request_id="r", workflow_name="w", job_name="j", state="running", is_blocking=False,
    accepted_at=0.0,
)  # fmt: skip


def bare(view: Any) -> Any:
    """Return a view without what belongs to one failed invocation alone."""
    dropped = {"input": None, "traceback": "", "pair": None, "bases": []}
    found = msgspec.to_builtins(view)

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            if value.get("failure"):
                value["failure"] |= {key: dropped[key] for key in dropped}
            return {key: strip(one) for key, one in value.items()}
        return [strip(one) for one in value] if isinstance(value, list) else value

    return strip({**found, "next": None})


def same(simulation: Simulation, answers: Table) -> None:
    """Compare each view of each request with that of a plain replay."""
    for name, _ in logs(simulation):
        key: Any = {"workflow": WORKFLOW, "request_id": name}
        asked: list[tuple[Any, Any]] = [
            (questions.GetSummary(**key), plain.summary),
            (questions.GetTree(**key, limit=10_000), plain.tree),
            (questions.ListInvocations(**key, limit=10_000), plain.invocations),
            (questions.ListInvocations(**key, state="succeeded", limit=9), plain.invocations),
            (questions.ListInvocations(**key, kind="reduce", start="r3"), plain.invocations),
        ]
        for question, read in asked:
            found = answers[type(question)](simulation.store, question)
            assert bare(found) == bare(read(simulation.store, question)), (name, question)


def test_views_are_those_of_a_plain_replay(simulation: Simulation) -> None:
    same(simulation, table(Folds()))


def test_views_of_a_file_are_those_of_a_plain_replay(
    simulation: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folds, "LONG", 0)
    blobs = BlobFolder(tmp_path)
    same(simulation, table(Folds(blobs)))  # writes the files
    assert list(tmp_path.glob(f"*/*/{view_file.NAME}")) != []
    same(simulation, table(Folds(blobs)))


def test_pages_together_are_all_of_it(simulation: Simulation) -> None:
    answers = table(Folds())
    for name, _ in logs(simulation):
        key: Any = {"workflow": WORKFLOW, "request_id": name}
        whole = questions.ListInvocations(**key, limit=10_000)
        rows = answers[type(whole)](simulation.store, whole)
        assert isinstance(rows, views.InvocationPage)
        found: list[views.InvocationRow] = []
        start: str | None = None
        while True:
            asked = questions.ListInvocations(**key, limit=3, start=start)
            page = answers[type(asked)](simulation.store, asked)
            assert isinstance(page, views.InvocationPage)
            found += page.invocations
            start = page.next
            if start is None:
                break
        assert found == rows.invocations


@pytest.mark.parametrize("record", [{"event": "done", "at": 1.0}, {"event": 7}, {}])
def test_what_is_no_event_is_damage(record: dict[str, Any]) -> None:
    with pytest.raises(EntryDamaged):
        glance.at(event_log.encode_record(record))


def test_event_of_a_newer_version_is_passed() -> None:
    assert glance.at(event_log.encode_record({"event": "lent", "at": 1.0})) is None


def test_author_values_and_large_numbers_are_skipped() -> None:
    notes = {0: {"session": {"n": 1 << 70}, "output": "x"}}
    event = Done(1.0, "map", 0, 0, 1, "mapped", notes=notes)
    found = glance.at(body(event))
    assert isinstance(found, glance.Done)
    assert (found.first, found.outcome) == (0, "mapped")


@pytest.mark.parametrize(
    ("traceback", "line"),
    [
        ("", None),
        ('  File "count", line 3, in handler\n    return 1 / 0\n', '"count", line 3, in handler'),
        ('  File "a", line 1, in f\n  File "b", line 2, in g\n', '"b", line 2, in g'),
    ],
)
def test_line_of_a_failure_is_the_innermost_one(traceback: str, line: str | None) -> None:
    assert line_of(traceback) == line
    assert plain.line_of(replace(FAILURE, traceback=traceback)) == line


FAILURE = Failure(kind="author", type="ValueError", message="no")


def test_children_that_are_yielded_again_after_two_deaths_are_the_same_ones() -> None:
    fold, number = Fold(lambda _: ()), 0

    def take(event: glance.Glance) -> None:
        nonlocal number
        fold.take(number, event)
        number += 1

    take(glance.Accepted(1.0, "s", "plan"))
    for yielded in ((1, 2, 3), (1, 2), (1, 2, 3)):
        for vertex in yielded:
            take(glance.Mapped(2.0, 0, 0, "s", vertex, 1))
        take(glance.Retried(3.0, "map", 0, 0, 1, 2, 0.0, glance.Fault()))
    assert summarize(fold, RUNNING).steps[1].pending == 3
    assert fold.block(0).branches[0].earlier == [3, 2, 1]


def test_chunks_may_be_of_more_steps_and_depths_than_two_bytes_count() -> None:
    chunks = Chunks()
    chunks.add(0, 1, -1, 70_000, 1.0)
    kept = (chunks.starts, chunks.counts, chunks.parents, chunks.totals, chunks.ats)
    assert (chunks.totals[0], tuple(one.typecode for one in kept)) == (70_000, view_file._FORMS)


def test_mappers_with_children_count_in_the_size_of_a_fold() -> None:
    nothing = Payload(0, 0, inline=b"")
    fold = Fold(lambda _: ())
    chain = [Mapped(2.0, 0, vertex, "s", vertex + 1, 1, nothing, "") for vertex in range(999)]
    sizes = []
    for number, event in enumerate([Accepted(1.0, "j", "s", "plan", nothing, 60.0), *chain]):
        fold.take(number, glance.at(body(event)))
        sizes.append(fold.size_bytes)
    assert sizes[-1] - sizes[0] > 400_000
