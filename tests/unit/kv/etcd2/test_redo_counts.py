"""Counters on v2 where a node dies between two writes of a unit that counts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jobx.kv import keys
from jobx.kv.etcd2.calls import Remove, Steps, Write
from jobx.kv.store import Create, Delete, Put, Replace, Unit
from tests.support.v2_model import Party, Server, run

MARKER, ENTITY = f"{keys.KEPT}w/p/1/r", keys.entity("request", "w", "r")
OPEN, EVENT = f"{keys.OPEN}n/w/r", keys.event("w", "r", 1)
CHANGE, COUNTER = f"{keys.uncounted('w', 'j')}r-", keys.counts("w", "j")
#: More writes than a unit makes.
WRITES = 9


def hide(revision: int) -> Unit:
    return [Delete(ENTITY), Put(CHANGE, b"x"), Replace(MARKER, b"hidden", revision)]


def purge(revision: int) -> Unit:
    return [Delete(ENTITY), Put(CHANGE, b"x"), Delete(MARKER, revision)]


def fold(server: Server) -> int:
    """Add a change to its counter as a node does that has just started; return what it counts."""
    party = Party()
    counter, _ = run(server, party.reader.get(COUNTER))
    change, _ = run(server, party.reader.get(CHANGE))
    count = 0 if counter is None else int(counter.value)
    if change is None:
        return count
    value = str(count + 1).encode()
    write = Create(COUNTER, value) if counter is None else Replace(COUNTER, value, counter.revision)
    assert run(server, party.writer.write([Delete(CHANGE, change.revision), write])) is None
    return count + 1


def dies(server: Server, steps: Steps[object], writes: int) -> None:
    """Make calls up to a number of writes; nothing is done after these."""
    calls = next(steps)
    try:
        while True:
            answers = []
            for call in calls:
                if isinstance(call, Write | Remove):
                    if not writes:
                        return
                    writes -= 1
                answers.append(server.make(call))
            calls = steps.send(answers)
    except StopIteration:
        return


@pytest.mark.parametrize("unit", [hide, purge])
@pytest.mark.parametrize("writes", range(WRITES))
def test_a_request_is_counted_once_at_whichever_write_a_node_dies(
    unit: Callable[[int], Unit], writes: int
) -> None:
    server = Server()
    begun: Unit = [Put(ENTITY, b"e"), Create(MARKER, b"kept")]
    assert run(server, Party().writer.write(begun)) is None
    marker, _ = run(server, Party().reader.get(MARKER))
    assert marker is not None
    dies(server, Party().writer.write(unit(marker.revision)), writes)
    fold(server)
    again, _ = run(server, Party().reader.get(MARKER))
    if again is not None and again.value == b"kept":
        run(server, Party().writer.write(unit(again.revision)))
    for _ in range(3):
        run(server, Party().reader.get(MARKER))
        assert fold(server) == 1


@pytest.mark.parametrize("writes", range(WRITES))
def test_an_end_is_counted_once_at_whichever_write_a_node_dies(writes: int) -> None:
    server = Server()
    assert run(server, Party().writer.write([Create(OPEN, b"")])) is None
    end: Unit = [Delete(OPEN), Put(CHANGE, b"x"), Create(EVENT, b"finished")]
    dies(server, Party().writer.write(end), writes)
    fold(server)
    if run(server, Party().reader.get(EVENT))[0] is None:
        run(server, Party().writer.write(end))
    for _ in range(3):
        run(server, Party().reader.get(EVENT))
        assert fold(server) == 1
