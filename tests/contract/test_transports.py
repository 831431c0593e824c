"""What carries datagrams between nodes: in memory, and over NSQ with two brokers."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobx.actors.bridge.envelope import MAX_DATAGRAM_BYTES
from jobx.actors.bridge.nsq import clearing, connection
from jobx.actors.bridge.nsq.clients import Publisher, Subscriber
from jobx.actors.bridge.nsq.connection import Access
from jobx.actors.bridge.nsq.transport import NsqTransport, server_of
from jobx.actors.bridge.transport import Lane, Transport, topic_of
from jobx.actors.runtime.scheduler import LoopScheduler
from tests.support import nsq
from tests.support.memory_transport import MemoryNetwork, MemoryTransport
from tests.support.waiting import eventually_soon

Open = Callable[[str], Transport]
Test = Callable[[Open], Coroutine[Any, Any, None]]


@pytest.fixture(params=["memory", *nsq.KINDS], scope="module")
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Runs a test with what opens a node's transport, on a network of its own."""
    if request.param == "memory":
        yield lambda test: asyncio.run(in_memory(test))
        return
    with nsq.running(request.param, tmp_path_factory.mktemp("nsq")) as server:
        yield lambda test: asyncio.run(over_nsq(test, server))


async def in_memory(test: Test) -> None:
    network = MemoryNetwork(LoopScheduler(asyncio.get_running_loop()))
    await test(lambda node: MemoryTransport(network, node))


async def over_nsq(test: Test, server: nsq.Nsqd) -> None:
    prefix, there = uuid.uuid4().hex[:8], server_of("bridge.nsqd", server.address)
    opened: list[NsqTransport] = []

    def open_one(node: str) -> NsqTransport:
        transport = NsqTransport(node, prefix, there, Access())
        transport.reach({"a": server.address, "b": server.address})
        opened.append(transport)
        return transport

    try:
        await test(open_one)
    finally:
        for transport in opened:
            transport.close()
        await asyncio.sleep(0)


class Inbox:
    """What one node got in its workflows."""

    def __init__(self, transport: Transport, *workflows: str) -> None:
        self.got: list[tuple[str, bytes]] = []
        for workflow in workflows:
            transport.listen(workflow, lambda name, body: self.got.append((name, body)))

    async def hears(self, sender: Transport, lane: Lane) -> None:
        """Wait until the way to it is open."""

        def has_come() -> bool:
            sender.send(lane, b"are you there?")
            return (lane.workflow, b"are you there?") in self.got

        await eventually_soon(has_come)

    async def waits_for(self, body: bytes) -> None:
        await eventually_soon(lambda: any(body == found for _, found in self.got))


def test_a_datagram_arrives_at_the_node_and_workflow_it_is_for(run: Callable[[Test], None]) -> None:
    async def test(open_one: Open) -> None:
        a, b = open_one("a"), open_one("b")
        here, there = Inbox(a, "v", "w"), Inbox(b, "v", "w")
        await there.hears(a, Lane("b", "w"))
        a.send(Lane("b", "w"), b"hello")
        await there.waits_for(b"hello")
        assert {name for name, _ in there.got} == {"w"}
        assert here.got == []

    run(test)


def test_a_datagram_of_the_largest_size_arrives_whole(run: Callable[[Test], None]) -> None:
    async def test(open_one: Open) -> None:
        a, b = open_one("a"), open_one("b")
        inbox, body = Inbox(b, "w"), bytes(range(256)) * (MAX_DATAGRAM_BYTES // 256)
        await inbox.hears(a, Lane("b", "w"))
        a.send(Lane("b", "w"), body)
        await inbox.waits_for(body)

    run(test)


def test_many_datagrams_arrive(run: Callable[[Test], None]) -> None:
    async def test(open_one: Open) -> None:
        a, b = open_one("a"), open_one("b")
        inbox = Inbox(b, "w")
        await inbox.hears(a, Lane("b", "w"))
        for number in range(1000):
            a.send(Lane("b", "w"), f"{number}".encode())
        await eventually_soon(lambda: len({body for _, body in inbox.got}) == 1001)

    run(test)


def test_a_datagram_that_is_not_handled_keeps_no_other_from_coming(
    run: Callable[[Test], None],
) -> None:
    async def test(open_one: Open) -> None:
        a, b = open_one("a"), open_one("b")
        got: list[bytes] = []

        def fail(_: str, body: bytes) -> None:
            got.append(body)
            raise ValueError("boom")

        b.listen("w", fail)
        await eventually_soon(lambda: a.send(Lane("b", "w"), b"one") or b"one" in got)
        a.send(Lane("b", "w"), b"two")
        await eventually_soon(lambda: b"two" in got)

    run(test)


def test_nothing_comes_in_a_workflow_that_was_left_until_it_is_opened_again(
    run: Callable[[Test], None],
) -> None:
    async def test(open_one: Open) -> None:
        a, b = open_one("a"), open_one("b")
        left, stays = Inbox(b, "w"), Inbox(b, "v")
        for inbox, workflow in ((left, "w"), (stays, "v")):
            await inbox.hears(a, Lane("b", workflow))
        b.leave("w")
        b.leave("w")
        left.got.clear()
        a.send(Lane("b", "w"), b"one")
        a.send(Lane("b", "v"), b"two")
        await stays.waits_for(b"two")
        assert left.got == []
        await Inbox(b, "w").hears(a, Lane("b", "w"))

    run(test)


@pytest.fixture(params=nsq.KINDS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[nsq.Nsqd]:
    """An nsqd whose queues are looked at."""
    with nsq.running(request.param, tmp_path) as server:
        yield server


def test_a_node_that_ends_leaves_no_queue(server: nsq.Nsqd) -> None:
    async def test(open_one: Open) -> None:
        b = open_one("b")
        b.listen("w", lambda *_: None)
        await eventually_soon(server.topics)
        b.close()  # type: ignore[attr-defined]  # this one is of NSQ
        await eventually_soon(lambda: not server.topics())

    asyncio.run(over_nsq(test, server))


def test_queues_of_a_node_that_has_gone_are_removed(
    server: nsq.Nsqd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clearing, "CLEAR_S", 0.01)

    async def test(open_one: Open) -> None:
        a = open_one("a")
        for workflow in ("v", "w"):
            await sent(a, Lane("b", workflow), server)
        a.reach({"a": server.address})
        await eventually_soon(lambda: not server.topics())

    asyncio.run(over_nsq(test, server))


def test_queues_of_a_node_that_has_gone_are_removed_once_an_nsqd_that_stood_still_answers(
    server: nsq.Nsqd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clearing, "CLEAR_S", 0.01)
    monkeypatch.setattr(connection, "HANDSHAKE_S", 1.0)

    async def test(open_one: Open) -> None:
        a: Any = open_one("a")
        for workflow in ("v", "w"):
            await sent(a, Lane("b", workflow), server)
        server.signal(signal.SIGSTOP)
        a.reach({"a": server.address})
        await eventually_soon(lambda: a._clearing._failures)
        server.signal(signal.SIGCONT)
        await eventually_soon(lambda: not server.topics())

    asyncio.run(over_nsq(test, server))


def test_what_was_sent_in_a_workflow_that_was_left_is_removed(
    server: nsq.Nsqd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clearing, "CLEAR_S", 0.01)

    async def test(open_one: Open) -> None:
        a, b = open_one("a"), open_one("b")
        await sent(a, Lane("b", "w"), server)
        b.leave("w")
        await eventually_soon(lambda: not server.topics())

    asyncio.run(over_nsq(test, server))


def test_what_a_node_sent_in_a_workflow_that_it_leaves_later_is_removed(
    server: nsq.Nsqd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clearing, "CLEAR_S", 0.01)

    async def test(open_one: Open) -> None:
        a: Any = open_one("a")
        await sent(a, Lane("b", "w"), server)
        a.leave("w")
        await eventually_soon(lambda: not server.topics())
        assert a._sent == {"b": {}}

    asyncio.run(over_nsq(test, server))


def test_queues_of_a_node_that_is_back_stay(
    server: nsq.Nsqd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clearing, "CLEAR_S", 0.01)

    async def test(open_one: Open) -> None:
        a, b = open_one("a"), open_one("b")
        await sent(a, Lane("b", "gone"), server)
        inbox = Inbox(b, "w")
        await inbox.hears(a, Lane("b", "w"))
        a.reach({"a": server.address})
        await eventually_soon(lambda: len(server.topics()) == 1)
        a.reach({"a": server.address, "b": server.address})
        a.send(Lane("b", "w"), b"hello")
        await inbox.waits_for(b"hello")

    asyncio.run(over_nsq(test, server))


class Earlier:
    """Node b of an earlier version: names of queues had no ending."""

    def __init__(self, a: Any, server: nsq.Nsqd) -> None:
        there, self._prefix = server_of("bridge.nsqd", server.address), a._prefix
        self.got: list[bytes] = []
        topic = topic_of(self._prefix, "w", "b", "")
        self._subscriber = Subscriber(there, Access(), topic, self.got.append)
        self._publisher = Publisher(there, Access())

    def send(self, lane: Lane, datagram: bytes) -> None:
        topic = topic_of(self._prefix, lane.workflow, lane.peer, "")
        self._publisher.publish(topic, datagram)

    def close(self) -> None:
        self._subscriber.close()
        self._publisher.close()


@pytest.mark.parametrize("is_known_first", [True, False])
def test_a_node_and_one_of_an_earlier_version_hear_each_other(
    server: nsq.Nsqd, *, is_known_first: bool
) -> None:
    async def test(open_one: Open) -> None:
        a: Any = open_one("a")
        b: Any = Earlier(a, server)
        inbox = Inbox(a, *[] if is_known_first else ["w"])
        a.reach({"a": server.address, "b": server.address}, earlier=["b"])
        if is_known_first:
            a.listen("w", lambda name, body: inbox.got.append((name, body)))

        def is_heard() -> bool:
            a.send(Lane("b", "w"), b"hello")
            return b"hello" in b.got

        await inbox.hears(b, Lane("a", "w"))
        await eventually_soon(is_heard)
        b.close()

    asyncio.run(over_nsq(test, server))


def test_a_node_that_is_back_in_a_later_version_is_sent_to_by_its_new_names(
    server: nsq.Nsqd,
) -> None:
    async def test(open_one: Open) -> None:
        a, b = open_one("a"), open_one("b")
        peers = {"a": server.address, "b": server.address}
        a.reach(peers, earlier=["b"])
        a.send(Lane("b", "w"), b"to the earlier one")
        a.reach(peers)
        await Inbox(b, "w").hears(a, Lane("b", "w"))

    asyncio.run(over_nsq(test, server))


def test_queues_for_earlier_versions_are_left_with_the_last_of_them(server: nsq.Nsqd) -> None:
    async def test(open_one: Open) -> None:
        a: Any = open_one("a")
        a.listen("w", lambda *_: None)
        for earlier in (["b"], ["b"], []):
            a.reach({"b": server.address}, earlier=earlier)
            await eventually_soon(lambda: a.is_ready)
            assert len(a._subscribers) == 1 + len(earlier)
        a.reach({"b": server.address}, earlier=["b"])
        a.leave("w")
        assert not a._subscribers

    asyncio.run(over_nsq(test, server))


async def sent(sender: Any, lane: Lane, server: nsq.Nsqd) -> None:
    """Send to a node that has no reader, until there is a queue with all that was sent."""
    before = server.topics()

    def is_there() -> bool:
        sender.send(lane, b"hello")
        return server.topics() > before

    await eventually_soon(is_there)
    publishers = sender._publishers.values()
    await eventually_soon(lambda: not any(publisher.unanswered for publisher in publishers))


def test_a_datagram_for_nobody_is_dropped(run: Callable[[Test], None]) -> None:
    async def test(open_one: Open) -> None:
        open_one("a").send(Lane("nobody", "w"), b"hello")

    run(test)
