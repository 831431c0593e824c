"""Units on v2 under random schedules: processes that crash, pause, adopt, and lose answers.

``Owner`` accepts, goes on with and ends one request. At any moment it is taken for lost, and
another process adopts it, while it may still be there. Whatever happens, in the end the log has no
gap and one end, and all that was written with an event is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

import pytest

from jobx.errors import Conflict, EntryDamaged, JobxError, OutcomeUnknown
from jobx.kv import keys
from jobx.kv.etcd2.calls import Look, Remove, Steps, TreeNode, one
from jobx.kv.etcd2.reading import Reader
from jobx.kv.etcd2.records import Record
from jobx.kv.etcd2.redo import Redo
from jobx.kv.store import Create, Delete, Put, Unit
from tests.support.v2_model import Party, Server, interleave, run

W, KEY = "w", keys.idempotency("w", "job", "client")
#: Schedules of each test, and in how many parts they run.
SCHEDULES, PARTS = 1200, 2


@dataclass
class World:
    """What happened, beside what is in the store."""

    server: Server = field(default_factory=Server)
    told: list[tuple[str, str]] = field(default_factory=list)


def event(request: str, number: int, text: str) -> Create:
    return Create(keys.event(W, request, number), text.encode())


def commit(party: Party, unit: Unit) -> Steps[bool]:
    """Write a unit as the log writer does: what is unknown is tried again, and one's own counts."""
    mine = unit[-1]
    assert isinstance(mine, Create)
    while True:
        try:
            refused = yield from party.writer.write(unit)
        except OutcomeUnknown:
            continue
        if refused is None:
            return True
        entry = yield from settled(party, mine.key)
        if entry == mine.value:
            return True
        if refused.args[0] == KEY:
            raise Conflict(KEY)
        return False


def settled(party: Party, key: str) -> Steps[bytes | None]:
    """Return the value of a key, however often an answer is lost."""
    while True:
        try:
            entry, _ = yield from party.reader.get(key)
        except JobxError:
            continue
        return entry.value if entry else None


def listed(party: Party, prefix: str) -> Steps[dict[str, bytes]]:
    while True:
        try:
            found = yield from party.reader.range(prefix, None, None, False, None)
        except JobxError:
            continue
        return {entry.key: entry.value for entry in found}


def finish(who: str, node: str, request: str, number: int) -> Unit:
    return [
        Put(keys.entity("request", W, request), f"done by {who}".encode()),
        Delete(keys.opened(node, W, request)),
        Create(keys.kept(W, "plan", 0.0, request), who.encode()),
        Create(keys.listed(W, "succeeded", request), b""),
        event(request, number, f"finished by {who}"),
    ]


def own(world: World, who: str, request: str, *, with_key: bool = False) -> Steps[None]:
    """Accept a request, go on with it, and end it."""
    party = Party()
    accept = [
        Create(keys.entity("request", W, request), b"running"),
        Put(keys.opened(who, W, request), b""),
        *([Create(KEY, request.encode())] if with_key else []),
        event(request, 0, f"accepted by {who}"),
    ]
    while True:
        try:
            if not (yield from commit(party, accept)):
                return
            break
        except Conflict:
            first = yield from settled(party, KEY)
            if first is not None:
                world.told.append(("replayed", first.decode()))
                return
    world.told.append(("accepted", request))
    if not (yield from commit(party, [event(request, 1, f"done by {who}")])):
        return
    if (yield from commit(party, finish(who, who, request, 2))):
        world.told.append(("finished", request))


def adopt(world: World, who: str, lost: str) -> Steps[None]:
    """End what another one has left open."""
    party = Party()
    for key in (yield from listed(party, f"{keys.OPEN}{lost}/")):
        request = key.rpartition("/")[2]
        log = list((yield from listed(party, keys.log(W, request))).values())
        assert log, "an open marker counts from its log on"
        if log[-1].startswith(b"finished"):
            yield from removed(party, key)
            continue
        adopted = [
            Put(keys.opened(who, W, request), b""),
            Delete(key),
            event(request, len(log), f"adopted by {who}"),
        ]
        if who != lost and not (yield from commit(party, adopted)):
            continue
        number = len(log) + (who != lost)
        if (yield from commit(party, finish(who, who, request, number))):
            world.told.append(("finished", request))


def removed(party: Party, key: str) -> Steps[None]:
    try:
        yield from party.writer.write([Delete(key)])
    except JobxError:
        return


def play(world: World, random: Random, parts: list[Callable[[], Steps[None]]], lost: float) -> None:
    """Run processes, and end what they leave open."""
    interleave(world.server, random, parts, lost)
    sweep(world, random)


def sweep(world: World, random: Random) -> None:
    """Have all arrive that is late, and end all that is open."""
    while world.server.late:
        world.server.deliver(random)
    for _ in range(3):
        for node in random.sample("ABCD", 4):
            run(world.server, adopt(world, "C", node))


def expect_whole(world: World, requests: str) -> list[str]:
    """Expect that what was begun is whole; return the requests that were accepted."""
    party = Party()
    accepted = []
    for request in requests:
        # Nobody has to look at its log for that.
        entity = run(world.server, settled(party, keys.entity("request", W, request)))
        kept = run(world.server, settled(party, keys.kept(W, "plan", 0.0, request)))
        is_listed = run(world.server, settled(party, keys.listed(W, "succeeded", request)))
        log = run(world.server, listed(party, keys.log(W, request)))
        assert list(log) == [keys.event(W, request, number) for number in range(len(log))]
        ends = [value for value in log.values() if value.startswith(b"finished")]
        if not log:
            assert (entity, kept) == (None, None)
            continue
        accepted.append(request)
        who = ends[0].rpartition(b" ")[2]
        assert len(ends) == 1 and list(log.values())[-1] == ends[0]
        assert (entity, kept, is_listed) == (b"done by " + who, who, b"")
    assert run(world.server, listed(party, keys.OPEN)) == {}
    assert not [path for path in world.server.files if "/open/" in path]
    for what, request in world.told:
        assert request in accepted, what
    assert len([1 for what, _ in world.told if what == "finished"]) <= len(accepted)
    return accepted


def seeds(part: int) -> Iterator[Random]:
    for seed in range(part, SCHEDULES, PARTS):
        yield Random(seed)


def with_adopter(random: Random, lost: float) -> None:
    world = World()
    play(world, random, [lambda: own(world, "A", "1"), lambda: adopt(world, "B", "A")], lost)
    expect_whole(world, "1")


def with_two_of_one_key(random: Random, lost: float) -> None:
    world = World()
    parts = [
        lambda: own(world, "A", "1", with_key=True),
        lambda: own(world, "D", "2", with_key=True),
        lambda: adopt(world, "B", "A"),
    ]
    play(world, random, parts, lost)
    accepted = expect_whole(world, "12")
    assert len(accepted) <= 1, "two requests under one key"
    if accepted:
        assert run(world.server, settled(Party(), KEY)) == accepted[0].encode()


@pytest.mark.parametrize("schedule", [with_adopter, with_two_of_one_key])
@pytest.mark.parametrize("lost", [0.0, 0.1])
@pytest.mark.parametrize("part", range(PARTS))
def test_a_request_is_whole_whoever_crashes_pauses_or_adopts_it(
    part: int, lost: float, schedule: Callable[[Random, float], None]
) -> None:
    for random in seeds(part):
        schedule(random, lost)


def no_list(*_: object) -> Steps[bool]:
    yield from ()
    return False


def no_fence(reader: Reader, _: str, record: Record, node: TreeNode) -> Steps[bool | None]:
    guard = yield from one(Look(reader._names.path(record.guard)))
    if guard.index:
        return True
    yield from one(Remove(node.path, node.index))
    return None


@pytest.mark.parametrize(
    ("owner", "name", "instead"),
    [(Redo, "finish_if_need_be", no_list), (Reader, "_wait_state", no_fence)],
    ids=["a list is left to who wrote it", "what waits is removed, and its log is not closed"],
)
def test_the_schedules_see_a_rule_that_is_not_kept(
    owner: type, name: str, instead: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, instead)
    with pytest.raises((AssertionError, IndexError, EntryDamaged)):
        for random in seeds(0):
            with_two_of_one_key(random, 0.1)
