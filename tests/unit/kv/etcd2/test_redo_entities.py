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
from jobx.kv.etcd2.calls import Call, Remove, Steps, Write
from jobx.kv.etcd2.names import Names
from jobx.kv.etcd2.records import decode
from jobx.kv.store import Create, Delete, DeletePrefix, Put, Replace, Unit
from tests.support.v2_model import Party, Server, interleave, run

SCHEDULES = 400
WORKFLOW, TOKEN = keys.workflow("w"), keys.entities_state("w")
HANDLER = keys.entity("handler", "w", "h")
NAMES = Names("root/")
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


class Watched(Server):
    """A server that remembers its changes of one path, with their indexes."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[tuple[int, Call]] = []

    def make(self, call: Call) -> Any:
        answer = super().make(call)
        if isinstance(call, Write | Remove) and answer:
            self.changes.append((self.index, call))
        return answer


def remove_alone(party: Party) -> Steps[None]:
    """Remove the workflow on its own condition alone, so that it is the guard of that."""
    entry, _ = yield from party.reader.get(WORKFLOW)
    if entry is not None:
        yield from party.writer.write([Delete(WORKFLOW, entry.revision)])


def store_and_remove_alone(name: str) -> Steps[None]:
    """Store a workflow by its token, and remove it by itself, again and again."""
    party = Party()
    for number in range(3):
        with suppress(JobxError):
            yield from change(party, [Put(WORKFLOW, f"{name} {number}".encode())])
        with suppress(JobxError):
            yield from remove_alone(party)


def check_that_nothing_came_back(server: Watched) -> None:
    """Check that a workflow that is there was stored by a later change than its last removal."""
    entry, _ = run(server, Party().reader.get(WORKFLOW))
    if entry is None:
        return
    path, token = NAMES.path(WORKFLOW), NAMES.path(TOKEN)
    changes = [(at, call) for at, call in server.changes if isinstance(call, Remove | Write)]
    removed = [at for at, call in changes if call.path == path and is_removal(call)]
    stored = [
        at
        for at, call in changes
        if call.path == token and isinstance(call, Write) and entry.value.decode() in call.text
    ]
    assert max(stored) > max(removed, default=0), "a removed workflow came back"


def is_removal(call: Call) -> bool:
    return isinstance(call, Remove) or (
        isinstance(call, Write) and decode("", call.text).value is None
    )


def run_alone(random: Random, lost: float) -> None:
    server = Watched()
    names = ("a", "b")
    parts = [lambda name=name: store_and_remove_alone(name) for name in names]
    interleave(server, random, parts, lost)
    while server.late:
        server.deliver(random)
    run(server, Party().reader.get(TOKEN))
    check_that_nothing_came_back(server)


@pytest.mark.parametrize("lost", [0.0, 0.1])
def test_an_entity_that_is_its_own_guard_does_not_come_back_once_it_is_removed(
    lost: float,
) -> None:
    for seed in range(SCHEDULES):
        run_alone(Random(seed), lost)


def test_the_schedules_see_that_a_removed_guard_leaves_no_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redo, "_removal", lambda _key, path, index: Remove(path, index))
    with pytest.raises(AssertionError, match="came back"):
        for seed in range(SCHEDULES):
            run_alone(Random(seed), 0.1)


@pytest.mark.parametrize("rest", [[], [Put(HANDLER, b"h")]], ids=["alone", "with others"])
def test_a_writer_that_is_late_does_not_bring_back_an_entity_that_was_removed_by_itself(
    rest: Unit,
) -> None:
    server, stopped = Server(), change(Party(), [Put(WORKFLOW, b"w")])
    run(server, change(Party(), [Put(WORKFLOW, b"older")]))
    calls = next(stopped)
    while not any(isinstance(call, Write) for call in calls):
        calls = stopped.send([server.make(call) for call in calls])
    answers = [server.make(call) for call in calls]
    entry, _ = run(server, Party().reader.get(WORKFLOW))
    assert entry is not None
    assert run(server, Party().writer.write([*rest, Delete(WORKFLOW, entry.revision)])) is None
    run(server, going_on(stopped, answers))
    assert run(server, Party().reader.get(WORKFLOW))[0] is None
