"""Entities on v2 under random schedules: processes that crash, pause, and are late.

What follows a guard may arrive long after it, when somebody has removed an entity again. It does
not come back: entities are what the last change left. Here the token tells what that is.
"""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import Any

import msgspec
import pytest

from jobx.errors import JobxError
from jobx.kv import keys
from jobx.kv.etcd2 import redo
from jobx.kv.etcd2.calls import Remove, Steps, Write
from jobx.kv.store import Create, Delete, DeletePrefix, Put, Replace, Unit
from tests.support.v2_model import Party, Server, interleave, run

SCHEDULES = 400
WORKFLOW, TOKEN = keys.workflow("w"), keys.entities_state("w")
HANDLER = keys.entity("handler", "w", "h")
STORE: Unit = [Put(HANDLER, b"h"), Put(WORKFLOW, b"w")]
REMOVE: Unit = [Delete(WORKFLOW), DeletePrefix(keys.entities("handler", "w"))]


def change(party: Party, unit: Unit) -> Steps[None]:
    """Make a change of entities, on the condition of their token."""
    token, _ = yield from party.reader.get(TOKEN)
    left = [write.key for write in unit if isinstance(write, Put)]
    value = msgspec.json.encode(left)
    condition = Create(TOKEN, value) if token is None else Replace(TOKEN, value, token.revision)
    yield from party.writer.write([*unit, condition])


def store_and_remove() -> Steps[None]:
    """Store a workflow with a handler, and remove it, again and again."""
    party = Party()
    for unit in (STORE, REMOVE, STORE, REMOVE):
        with suppress(JobxError):
            yield from change(party, unit)


def found(server: Server) -> list[str]:
    """Return the entities that are there, as the token has its list done."""
    party = Party()
    token, _ = run(server, party.reader.get(TOKEN))
    there = run(server, party.reader.range(keys.ENTITIES, None, None, False, None))
    assert token is None or sorted(msgspec.json.decode(token.value)) == [one.key for one in there]
    return [one.key for one in there]


@pytest.mark.parametrize("lost", [0.0, 0.1])
def test_entities_are_what_their_last_change_left_whoever_crashes_pauses_or_is_late(
    lost: float,
) -> None:
    for seed in range(SCHEDULES):
        run_schedule(Random(seed), lost)


def run_schedule(random: Random, lost: float) -> None:
    server = Server()
    interleave(server, random, [lambda: store_and_remove() for _ in range(2)], lost)
    while server.late:
        server.deliver(random)
    found(server)


def test_the_schedules_see_that_a_removed_entity_leaves_no_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redo, "_removal", lambda _key, path, index: Remove(path, index))
    with pytest.raises(AssertionError):
        for seed in range(SCHEDULES):
            run_schedule(Random(seed), 0.1)


def test_a_writer_that_is_stopped_after_its_guard_brings_no_deleted_workflow_back() -> None:
    server, stopped = Server(), change(Party(), STORE)
    calls = next(stopped)
    while not any(isinstance(call, Write) for call in calls):
        calls = stopped.send([server.make(call) for call in calls])
    answers = [server.make(call) for call in calls]
    run(server, change(Party(), REMOVE))
    run(server, going_on(stopped, answers))
    assert found(server) == []


def going_on(steps: Steps[None], answers: list[Any]) -> Steps[None]:
    """Take steps on that have got as far as these answers."""
    with suppress(StopIteration):
        while True:
            answers = yield steps.send(answers)


def test_a_workflow_can_be_stored_again_once_it_was_removed() -> None:
    server = Server()
    for unit in (STORE, REMOVE, STORE):
        run(server, change(Party(), unit))
    assert found(server) == [HANDLER, WORKFLOW]


def test_a_removed_entity_that_is_a_guard_can_be_created_again() -> None:
    server = Server()
    for unit in (STORE, REMOVE):
        run(server, change(Party(), unit))
    assert run(server, Party().writer.write([Put("a", b""), Create(WORKFLOW, b"new")])) is None
    entry, _ = run(server, Party().reader.get(WORKFLOW))
    assert entry is not None and entry.value == b"new"
