"""The contract of the log that coordinators append to, over each implementation of ``Log``."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final

import pytest

from jobx import entity_json, model
from jobx.actors.log_writer import LogWriter
from jobx.actors.messages import CommitRefused, Committed, LogRead, RequestKey
from jobx.actors.ports import Log
from jobx.actors.request.events import Accepted, Cancelled, Event, to_record
from jobx.actors.runtime.address import Address
from jobx.errors import Conflict, NotFound, StoreFull
from jobx.kv import keys
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import event_log, lives, request_entity
from jobx.kv.store import Create, Put, Write
from jobx.payload import Payload, pack_offsets
from tests.simulation.simulator import SimulatedLog
from tests.support.virtual_time import VirtualScheduler

KEY: Final = RequestKey("w", "r1")
OTHER: Final = RequestKey("w", "r2")
OWNER: Final = Address("n", 1, 1)
NEXT: Final = Address("n", 1, 2)
REQUEST: Final = model.Request(
    workflow_name="w", request_id="r1", job_name="j", invocation_id="m0", accepted_at=1.0
)
ACCEPTED: Final = Accepted(1.0, "j", "s", "p", Payload(1, 1, b"a", offsets=pack_offsets([1])), 60.0)
CANCELLED: Final = Cancelled(2.0, "enough")


@dataclass
class Stage:
    """A log over a store, and what owners hear from it."""

    log: Log
    step: Callable[[], None]
    store: MemoryStore
    heard: list[tuple[object, Any]] = field(default_factory=list)

    def append(
        self,
        number: int,
        *,
        key: RequestKey = KEY,
        urgent: bool = True,
        first: Callable[[], object] | None = None,
    ) -> None:
        """Append an event whose own key is ``<request>/<number>``."""
        own = Create(f"{key.request_id}/{number}", b"")
        self.log.append(key, OWNER, number, [own], urgent, first=first)

    def record(self, number: int, event: Event, *writes: Write) -> None:
        """Append an event as a journal does."""
        write = event_log.event_write(*KEY, number, to_record(event))
        self.log.append(KEY, OWNER, number, [*writes, write], True)

    def accept(self) -> None:
        """Append the first event of a request, with all that belongs to it."""
        plan = Put(keys.plan("w", "p"), entity_json.encode(model.Plan(steps={})))
        self.record(0, ACCEPTED, plan, *request_entity.accept_writes(REQUEST, "n", None, 1))

    def hears(self, kind: type[Any], count: int = 1) -> list[Any]:
        """Wait for messages of a kind."""
        return self.until(lambda: [m for _, m in self.heard if isinstance(m, kind)], count)

    def until(self, found: Callable[[], list[Any]], count: int) -> list[Any]:
        """Let time pass until so much is found."""
        deadline = time.monotonic() + 60.0
        while len(found()) < count:
            assert time.monotonic() < deadline, "it never became true"
            self.step()
        return found()

    def is_durable(self, number: int, key: RequestKey = KEY) -> bool:
        return self.store.get(f"{key.request_id}/{number}") is not None

    def read(self, key: RequestKey = KEY, **how: bool) -> LogRead:
        """Read a log for the next owner, and return what it hears."""
        self.log.read(key, NEXT, **how)
        found: LogRead = next(m for m in self.hears(LogRead) if m.key == key)
        return found


def real() -> Iterator[Stage]:
    loop, store, heard = asyncio.new_event_loop(), MemoryStore(), []
    writer = LogWriter(store, loop, lambda *said: heard.append(said))
    yield Stage(writer, lambda: loop.run_until_complete(asyncio.sleep(0.001)), store, heard)
    writer.close()
    loop.close()


def simulated() -> Iterator[Stage]:
    store, heard = MemoryStore(), []
    scheduler, base = VirtualScheduler(1), SimpleNamespace(deliver=lambda *said: heard.append(said))
    log: Any = SimulatedLog(store, random.Random(1), scheduler)
    log.base = base
    yield Stage(log, lambda: scheduler.advance(0.001), store, heard)


@pytest.fixture(params=[real, simulated], ids=["LogWriter", "SimulatedLog"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    yield from request.param()


# Appending


@pytest.mark.parametrize("urgent", [True, False])
def test_what_is_appended_is_durable_when_its_owner_hears_of_it(stage: Stage, urgent: bool) -> None:
    stage.append(0, urgent=urgent)
    assert stage.hears(Committed) == [Committed(0)]
    assert stage.is_durable(0)
    assert stage.heard[0][0] == OWNER


def test_owner_hears_the_number_of_the_last_event_that_is_durable(stage: Stage) -> None:
    for number in range(5):
        stage.append(number)
    stage.until(lambda: [m for m in stage.hears(Committed) if m.number == 4], 1)
    assert all(stage.is_durable(number) for number in range(5))


def test_events_become_durable_in_order(stage: Stage) -> None:
    for number in range(20):
        stage.append(number)
        stage.step()
    stage.until(lambda: [m for m in stage.hears(Committed) if m.number == 19], 1)
    numbers = [message.number for message in stage.hears(Committed)]
    assert numbers == sorted(set(numbers))


def test_what_must_be_done_first_is_done_before_an_event_is_durable(stage: Stage) -> None:
    found: list[bool] = []
    stage.append(0, first=lambda: found.append(stage.is_durable(0)))
    assert stage.hears(Committed) == [Committed(0)]
    assert found == [False]


def test_a_new_request_for_which_that_fails_is_refused_alone(stage: Stage) -> None:
    error = StoreFull("blobs", "no room")

    def fail() -> None:
        raise error

    stage.append(0, first=fail)
    stage.append(1)
    stage.append(0, key=OTHER)
    assert stage.hears(CommitRefused) == [CommitRefused(error)]
    assert stage.hears(Committed) == [Committed(0)]
    assert not stage.is_durable(0) and not stage.is_durable(1)


def test_event_whose_number_is_taken_is_refused(stage: Stage) -> None:
    stage.store.commit([Create("r1/0", b"somebody else's")])
    stage.append(0)
    (refused,) = stage.hears(CommitRefused)
    assert isinstance(refused.error, Conflict)


def test_event_that_is_there_byte_for_byte_was_written_by_this_log(stage: Stage) -> None:
    stage.store.commit([Create("r1/0", b"")])
    stage.append(0)
    assert stage.hears(Committed) == [Committed(0)]


def test_nothing_is_written_behind_a_refused_event(stage: Stage) -> None:
    stage.store.commit([Create("r1/0", b"somebody else's")])
    stage.append(0)
    stage.hears(CommitRefused)
    stage.append(1)
    stage.append(0, key=OTHER)
    stage.hears(Committed)
    assert not stage.is_durable(1)


def test_refused_request_holds_up_no_other(stage: Stage) -> None:
    stage.store.commit([Create("r1/0", b"somebody else's")])
    stage.append(0)
    stage.append(0, key=OTHER)
    assert stage.hears(Committed) == [Committed(0)]
    assert stage.is_durable(0, OTHER)


def test_request_that_was_forgotten_can_be_written_again(stage: Stage) -> None:
    stage.store.commit([Create("r1/0", b"somebody else's")])
    stage.append(0)
    stage.hears(CommitRefused)
    stage.log.forget(KEY)
    stage.append(1)
    assert stage.hears(Committed) == [Committed(1)]


def test_what_waits_of_a_forgotten_request_is_not_written(stage: Stage) -> None:
    stage.append(0, urgent=False)
    stage.log.forget(KEY)
    stage.append(0, key=OTHER)
    assert stage.hears(Committed) == [Committed(0)]
    assert not stage.is_durable(0)


# Reading


def test_next_owner_reads_what_was_appended_before(stage: Stage) -> None:
    stage.accept()
    stage.record(1, CANCELLED)
    found = stage.read()
    assert found.events == [ACCEPTED, CANCELLED]
    assert (found.request, found.plan, found.error) == (REQUEST, model.Plan(steps={}), None)
    assert stage.heard[-1][0] == NEXT


def test_who_ends_a_request_reads_no_events(stage: Stage) -> None:
    stage.accept()
    found = stage.read(has_events=False)
    assert (found.request, found.events, found.next_number) == (REQUEST, [], 1)


def test_log_of_a_request_that_was_refused_can_be_read_and_written_by_its_next_owner(
    stage: Stage,
) -> None:
    stage.accept()
    stage.hears(Committed)
    stage.record(0, CANCELLED)
    stage.hears(CommitRefused)
    assert stage.read().events == [ACCEPTED]
    stage.record(1, CANCELLED)
    assert stage.hears(Committed, 2)[-1] == Committed(1)


def test_request_that_does_not_exist_is_told_as_an_error(stage: Stage) -> None:
    found = stage.read()
    assert (found.request, type(found.error)) == (None, NotFound)


def test_marked_request_is_read_with_its_mark(stage: Stage) -> None:
    stage.accept()
    stage.hears(Committed)
    mark = lives.Mark(life=2, deaths=1)
    stage.log.mark([lives.OpenRequest("n", *KEY, mark)])
    stage.read()
    (opened,) = lives.opened(stage.store, "n")
    assert (opened.mark.life, opened.mark.deaths, opened.mark.events) == (2, 1, 1)
