"""Folds go on from their last event; files of views that are not whole are made again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import MagicMock

import pytest
from msgspec.structs import replace

from jobx import entity_json, model, questions, views
from jobx.actors.inspection.folding import page_reader, view_file
from jobx.actors.inspection.folding.fold import Fold
from jobx.actors.inspection.folding.summary import summarize
from jobx.actors.readers import folds, read_limits
from jobx.actors.readers.folds import Folds
from jobx.actors.readers.table import table
from jobx.actors.request.events import Accepted, Done, Event, Finished, Mapped, to_record
from jobx.errors import InvalidInput, NotFound, Unavailable
from jobx.kv import keys
from jobx.kv.blobs import BlobFolder
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import event_log
from jobx.kv.store import Put
from jobx.payload import Payload
from tests.support.thread_reader import ThreadReader

KEY: Final[Any] = {"workflow": "w", "request_id": "r"}
NOTHING: Final = Payload(0, 0, inline=b"")
SUMMARY: Final = questions.GetSummary(**KEY)


class Requests:
    """One request with children, in a store that counts what is read of its log."""

    def __init__(self, children: int) -> None:
        self.store = MemoryStore()
        self.number = 0
        self.entity = model.Request(
            workflow_name="w", request_id="r", job_name="j", invocation_id="m0", accepted_at=1.0
        )
        self._put()
        self.append(Accepted(1.0, "j", "fan", "plan", NOTHING, 60.0))
        self.append(Mapped(2.0, 0, 0, "leaf", 1, children, NOTHING, ""))

    def append(self, event: Event) -> None:
        write = event_log.event_write("w", "r", self.number, to_record(event))
        self.store.commit([write])
        self.number += 1

    def done(self, first: int, count: int = 1) -> None:
        self.append(Done(3.0, "map", 1, first, count, "reduced", durations=bytes(12 * count)))

    def finish(self) -> None:
        self.append(Finished(4.0, "cancelled"))
        self.entity = model.Request(
            workflow_name="w", request_id="r", job_name="j", invocation_id="m0",
            accepted_at=1.0, state="cancelled", is_done=True, finished_at=4.0,
        )  # fmt: skip
        self._put()

    def _put(self) -> None:
        self.store.commit([Put(keys.entity("request", "w", "r"), entity_json.encode(self.entity))])


@pytest.fixture(autouse=True)
def _parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folds, "_STEP", 1000)


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folds, "LONG", 0)


def succeeded(answers: Any, requests: Requests) -> int:
    view: views.SummaryView = answers[questions.GetSummary](requests.store, SUMMARY)
    return sum(step.succeeded for step in view.steps)


def test_fold_goes_on_from_its_last_event(monkeypatch: pytest.MonkeyPatch) -> None:
    requests, answers, seen = Requests(10), table(Folds()), []
    taken = folds.glance.at
    monkeypatch.setattr(folds.glance, "at", lambda body: (seen.append(1), taken(body))[1])
    assert succeeded(answers, requests) == 0
    requests.done(1)
    assert succeeded(answers, requests) == 1
    assert len(seen) == 3


def long_log() -> Requests:
    requests = Requests(2500)
    for vertex in range(1, 2501):
        requests.done(vertex)
    return requests


def test_view_that_takes_too_long_goes_on_when_it_is_asked_for_again() -> None:
    requests, answers = long_log(), table(Folds(slice_s=-1.0))
    whole = replace(SUMMARY, is_whole=True)
    for read in (1, 1001, 2001):
        with pytest.raises(Unavailable, match=rf"^{read:,} of 2,502 events are read"):
            answers[questions.GetSummary](requests.store, whole)
    assert succeeded(answers, requests) == 2500


def test_clock_is_looked_at_after_a_few_events_since_each_may_be_of_a_thousand_invocations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    requests, now = Requests(1), [0.0]
    for vertex in range(2, 1002):
        requests.append(Mapped(2.0, 0, 0, "leaf", vertex, 1, NOTHING, ""))
    taken = folds.glance.at
    monkeypatch.setattr(folds, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(
        folds.glance, "at", lambda body: (now.append(now.pop() + 0.01), taken(body))[1]
    )
    view = Folds(part_s=1.0).view(requests.store, SUMMARY, summarize)
    assert view.reading is not None
    assert view.reading.events <= 200


@pytest.mark.parametrize("asked", [SUMMARY, questions.GetTree(**KEY), questions.GetTimeline(**KEY)])
def test_view_of_a_part_of_a_log_says_how_far_it_was_read(asked: Any) -> None:
    requests, answers = long_log(), table(Folds(part_s=-1.0))
    found: list[tuple[int, views.Reading | None]] = []
    while not found or found[-1][1] is not None:
        view: Any = answers[type(asked)](requests.store, asked)
        found.append((view.as_of, view.reading))
    parts = [(read - 1, views.Reading(events=read, of=2502)) for read in (1, 1001, 2001)]
    assert found == [*parts, (2501, None)]


def test_time_that_another_question_reads_is_not_read_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    requests, kept, now = long_log(), Folds(part_s=5.0), [0.0]
    monkeypatch.setattr(folds, "time", SimpleNamespace(monotonic=lambda: now[0]))
    entry: Any = kept._entry(("w", "r", 1.0))
    entry.lock = MagicMock()
    entry.lock.__enter__ = lambda _: now.append(now.pop() + 6.0)
    view = kept.view(requests.store, SUMMARY, summarize)
    assert view.reading == views.Reading(events=1, of=2502)


def test_pages_of_a_part_of_a_log_lead_on_to_all_of_it() -> None:
    requests, answers = long_log(), table(Folds(part_s=-1.0))
    wanted = questions.ListInvocations(**KEY, kind="map", limit=700)
    found: list[str] = []
    page: Any = views.InvocationPage(as_of=0, next="m0")
    while page.next is not None:
        asked = replace(wanted, start=page.next)
        page = answers[questions.ListInvocations](requests.store, asked)
        found += [one.invocation_id for one in page.invocations]
    assert found == [f"m{vertex}" for vertex in range(2501)]


def test_page_behind_the_last_invocation_of_a_part_leads_on() -> None:
    requests, answers = long_log(), table(Folds(part_s=-1.0))
    asked = questions.ListInvocations(**KEY, start=f"m{'9' * 18}")
    page: Any = answers[type(asked)](requests.store, asked)
    while page.next is not None:
        page = answers[type(asked)](requests.store, replace(asked, start=page.next))
    assert (page.invocations, page.reading) == ([], None)


def test_a_mapper_may_be_in_the_part_of_a_log_that_is_still_to_be_read() -> None:
    requests, answers = Requests(1), table(Folds(part_s=-1.0))
    asked = questions.GetTree(**KEY, of="m1")
    page: Any = answers[questions.GetTree](requests.store, asked)
    assert (page.parent, page.reading) == (None, views.Reading(events=1, of=2))
    page = answers[questions.GetTree](requests.store, replace(asked, after=page.next))
    assert (page.parent.first, page.reading) == ("m1", None)


def test_children_that_are_still_to_be_read_are_on_the_next_page() -> None:
    requests, answers = Requests(10), table(Folds(part_s=-1.0))
    page: Any = answers[questions.GetTree](requests.store, questions.GetTree(**KEY))
    assert page.runs == []
    asked = questions.GetTree(**KEY, after=page.next)
    page = answers[questions.GetTree](requests.store, asked)
    assert [(run.first, run.count) for run in page.runs] == [("m1", 10)]


def cut(path: Path) -> None:
    body = path.read_bytes()
    path.write_bytes(body[: len(body) // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(where: float) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        body = bytearray(path.read_bytes())
        body[int(where * (len(body) - 1))] ^= 0xFF
        path.write_bytes(bytes(body))

    return damage


def age(path: Path) -> None:
    body = path.read_bytes()
    at = len(body) - view_file._TRAILER.size + 8
    path.write_bytes(body[:at] + (view_file.VERSION - 1).to_bytes(4, "big") + body[at + 4 :])


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.usefixtures("long")
@pytest.mark.parametrize("damage", [cut, empty, flip(0.01), flip(0.9), flip(1.0), age, remove])
def test_file_that_is_not_whole_is_made_again(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    requests, blobs = Requests(1500), BlobFolder(tmp_path)
    requests.done(1, 700)
    requests.finish()
    path = blobs.path("w", "r") / view_file.NAME
    assert succeeded(table(Folds(blobs)), requests) == 700
    whole = path.read_bytes()
    damage(path)
    asked = questions.ListInvocations(**KEY, state="succeeded", limit=10_000)
    page: Any = table(Folds(blobs))[type(asked)](requests.store, asked)
    assert (len(page.invocations), path.read_bytes()) == (1400, whole)
    assert [one.name for one in path.parent.iterdir()] == [view_file.NAME]


@pytest.mark.usefixtures("long")
def test_file_is_read_in_place_of_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests, blobs = Requests(10), BlobFolder(tmp_path)
    requests.done(1, 4)
    requests.finish()
    assert succeeded(table(Folds(blobs)), requests) == 4
    monkeypatch.setattr(folds.glance, "at", lambda _: pytest.fail("the log was read"))
    assert succeeded(table(Folds(blobs)), requests) == 4


@pytest.mark.usefixtures("long")
def test_file_goes_with_the_blobs_of_its_request(tmp_path: Path) -> None:
    requests, blobs = Requests(10), BlobFolder(tmp_path)
    requests.finish()
    succeeded(table(Folds(blobs)), requests)
    blobs.remove("w", "r")
    assert not blobs.path("w", "r").exists()


def test_short_requests_and_open_ones_have_no_file(tmp_path: Path) -> None:
    requests, blobs = Requests(10), BlobFolder(tmp_path)
    succeeded(table(Folds(blobs)), requests)
    requests.finish()
    succeeded(table(Folds(blobs)), requests)
    assert list(tmp_path.iterdir()) == []


def test_least_used_folds_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folds, "MOST_BYTES", 0)
    requests, kept = Requests(10), Folds()
    succeeded(table(kept), requests)
    assert list(kept._entries) == [("w", "r", 1.0)]
    other = model.Request(
        workflow_name="w", request_id="s", job_name="j", invocation_id="m0", accepted_at=2.0
    )
    requests.store.commit([Put(keys.entity("request", "w", "s"), entity_json.encode(other))])
    kept.view(requests.store, questions.GetSummary(workflow="w", request_id="s"), summarize)
    assert list(kept._entries) == [("w", "s", 2.0)]


def test_two_logs_that_do_not_fit_together_are_both_read_to_their_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(folds, "MOST_BYTES", 0)
    monkeypatch.setattr(folds, "WANTED_S", 1e9)
    kept, logs = Folds(part_s=-1.0), [long_log(), long_log()]
    asked = [SUMMARY, questions.GetSummary(workflow="w", request_id="s")]
    other = model.Request(
        workflow_name="w", request_id="s", job_name="j", invocation_id="m0", accepted_at=1.0
    )
    store = logs[1].store
    store.commit([Put(keys.entity("request", "w", "s"), entity_json.encode(other))])
    store.commit([
        Put(keys.event("w", "s", number), body)
        for number, body in event_log.bodies(store, "w", "r")
    ])  # fmt: skip
    stores = [logs[0].store, store]
    left, turns = {0, 1}, 0
    while left:
        turns += 1
        assert turns <= 12
        for one in sorted(left):
            if kept.view(stores[one], asked[one], summarize).reading is None:
                left.discard(one)


def test_log_that_nobody_reads_on_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folds, "MOST_BYTES", 0)
    monkeypatch.setattr(folds, "WANTED_S", -1.0)
    requests, kept = long_log(), Folds(part_s=-1.0)
    assert kept.view(requests.store, SUMMARY, summarize).reading is not None
    other = model.Request(
        workflow_name="w", request_id="s", job_name="j", invocation_id="m0", accepted_at=2.0
    )
    requests.store.commit([Put(keys.entity("request", "w", "s"), entity_json.encode(other))])
    kept.view(requests.store, questions.GetSummary(workflow="w", request_id="s"), summarize)
    assert list(kept._entries) == [("w", "s", 2.0)]


def test_runs_of_siblings_are_one_line_and_failed_ones_are_alone() -> None:
    requests = Requests(3000)
    requests.done(1, 999)
    requests.done(1000, 1000)
    answers = table(Folds())
    asked = questions.GetTree(**KEY)
    page: Any = answers[type(asked)](requests.store, asked)
    assert [(run.first, run.count, run.state) for run in page.runs] == [
        ("m1", 1999, "succeeded"), ("m2000", 1001, "pending"),
    ]  # fmt: skip
    assert (page.parent.state, page.parent.children) == ("running", 3000)


def test_page_of_children_that_came_one_by_one_looks_at_few_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(page_reader, "MAX_CHUNKS", 1100)
    requests, answers, looks = Requests(1), table(Folds()), []
    for vertex in range(2, 3001):
        requests.append(Mapped(2.0, 0, 0, "leaf", vertex, 1, NOTHING, ""))
    stages = Fold.stages
    monkeypatch.setattr(Fold, "stages", lambda self, n: (looks.append(n), stages(self, n))[1])
    after, found = None, []
    while after is not None or not found:
        asked = questions.GetTree(**KEY, after=after)
        page: Any = answers[type(asked)](requests.store, asked)
        found += [(run.first, run.count, run.state) for run in page.runs]
        after = page.next
    assert found == [("m1", 1100, "pending"), ("m1101", 1100, "pending"), ("m2201", 800, "pending")]
    assert len(looks) < 10


def test_cursor_of_another_question_is_refused() -> None:
    requests, answers = Requests(10), table(Folds())
    requests.done(2)
    asked = questions.GetTree(**KEY, limit=1)
    page: Any = answers[type(asked)](requests.store, asked)
    for other in (
        questions.GetTree(**KEY, of="m1", after=page.next),
        questions.ListInvocations(**KEY, start=page.next),
        questions.GetTree(**KEY, after="x"),
        questions.GetTree(**KEY, of="r0"),
    ):
        with pytest.raises(InvalidInput):
            answers[type(other)](requests.store, other)


def test_bars_that_are_too_many_are_columns() -> None:
    requests, answers = Requests(30_000), table(Folds())
    asked = questions.GetTimeline(**KEY, width=10)
    view: Any = answers[type(asked)](requests.store, asked)
    assert (view.bars, view.columns) == ([], None)


def test_absent_request_is_not_found() -> None:
    store = MemoryStore()
    with pytest.raises(NotFound):
        table(Folds())[questions.GetSummary](store, SUMMARY)


@pytest.mark.usefixtures("long")
def test_all_of_a_log_is_read_when_its_views_are_prepared(tmp_path: Path) -> None:
    requests, blobs = Requests(10), BlobFolder(tmp_path)
    requests.finish()
    views_file = blobs.path("w", "r") / view_file.NAME

    async def prepare(threads: ThreadPoolExecutor) -> None:
        answers = table(Folds(blobs, slice_s=-1.0, part_s=-1.0))
        readers = read_limits.Readers(ThreadReader(requests.store, answers, threads))
        readers.prepare("w", "r")
        await asyncio.wait_for(asyncio.gather(*readers._preparing), 60)

    with ThreadPoolExecutor() as threads:
        asyncio.run(prepare(threads))
    assert views_file.exists()


@pytest.mark.usefixtures("long")
def test_file_of_a_request_that_was_forgotten_meanwhile_is_closed(tmp_path: Path) -> None:
    requests, kept = Requests(10), Folds(BlobFolder(tmp_path))
    requests.finish()
    succeeded(table(kept), requests)
    kept._entries.clear()
    entry = kept._entry(("w", "r", 1.0))

    def forget(columns: Any, _: Any) -> Any:
        kept._entries.clear()
        return columns

    columns = kept.view(requests.store, SUMMARY, forget)
    assert isinstance(columns, view_file.ViewFile)
    assert entry.columns is None
