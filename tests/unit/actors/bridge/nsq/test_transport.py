from __future__ import annotations

import asyncio
import logging

import pytest

from jobx.actors.bridge.nsq.clients import Losses, Server
from jobx.actors.bridge.nsq.connection import HEARTBEAT_S, Access, Connection
from jobx.actors.bridge.nsq.transport import SLOW_HEARTBEAT_S, WATCHED, NsqTransport
from jobx.actors.bridge.transport import Lane
from tests.support.ports import free_port
from tests.support.waiting import eventually_soon


def test_a_server_that_is_gone_is_named_once_for_all_queues(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test() -> None:
        transport = NsqTransport("a", "p", Server("127.0.0.1", free_port()), Access())
        for number in range(3):
            transport.listen(f"w{number}", lambda *_: None)
        clients = transport._subscribers.values()
        await eventually_soon(lambda: all(client._tries > 1 for client in clients))
        transport.close()

    asyncio.run(test())
    told = [line for line in caplog.messages if line.startswith("no connection to nsqd")]
    assert len(told) == 1, told


def test_each_loss_and_each_return_of_a_server_is_named_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    losses, server = Losses(), Server("host", 1)
    losses.find(server)
    for _ in range(2):
        for _ in range(2):
            losses.lose(server, "it is gone")
        for _ in range(2):
            losses.find(server)
    assert (
        caplog.messages == ["no connection to nsqd host:1: it is gone", "nsqd host:1 is there"] * 2
    )


def test_the_loss_of_a_server_is_named_again_to_who_needs_it_anew(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test() -> None:
        port = free_port()
        transport = NsqTransport("a", "p", Server("127.0.0.1", free_port()), Access())
        for times in (1, 2):
            transport.reach({"b": f"127.0.0.1:{port}"})
            transport.send(Lane("b", "w"), b"")
            await eventually_soon(lambda times=times: _told_of(port, caplog) == times)
            transport.reach({})
        assert not transport._losses._lost
        transport.close()

    asyncio.run(test())


def _told_of(port: int, caplog: pytest.LogCaptureFixture) -> int:
    said = f"no connection to nsqd 127.0.0.1:{port}:"
    return sum(line.startswith(said) for line in caplog.messages)


def test_the_loss_of_the_own_server_is_not_forgotten_with_a_peer_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test() -> None:
        own = Server("127.0.0.1", free_port())
        transport = NsqTransport("a", "p", own, Access())
        transport.listen("w", lambda *_: None)
        transport.reach({"b": f"127.0.0.1:{own.port}"})
        transport.send(Lane("b", "w"), b"")
        await eventually_soon(lambda: transport._losses._lost)
        transport.reach({})
        assert transport._losses._lost == {own}
        transport.close()

    asyncio.run(test())


def test_nsqd_is_heard_often_on_the_first_of_many_connections() -> None:
    async def test() -> None:
        transport = NsqTransport("a", "p", Server("127.0.0.1", free_port()), Access())
        for number in range(WATCHED + 10):
            transport.listen(f"w{number}", lambda *_: None)
        beats = [client._heartbeat_s for client in transport._subscribers.values()]
        assert beats == [HEARTBEAT_S] * WATCHED + [SLOW_HEARTBEAT_S] * 10
        transport.close()

    asyncio.run(test())


def test_workflows_that_are_left_give_way_to_others_on_which_nsqd_is_heard_often() -> None:
    async def test() -> None:
        transport = NsqTransport("a", "p", Server("127.0.0.1", free_port()), Access())
        for number in range(2 * WATCHED):
            transport.listen(f"w{number}", lambda *_: None)
        for number in range(10):
            transport.leave(f"w{number}")
        for number in range(20):
            transport.listen(f"v{number}", lambda *_: None)
        beats = [client._heartbeat_s for client in transport._subscribers.values()]
        assert beats[-20:] == [HEARTBEAT_S] * 10 + [SLOW_HEARTBEAT_S] * 10
        transport.close()

    asyncio.run(test())


def test_a_way_that_opens_is_named_by_its_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    connecting: list[Connection] = []
    monkeypatch.setattr(Connection, "connect", lambda me: connecting.append(me))
    monkeypatch.setattr(Connection, "send", lambda *_: None)
    opened: list[str | None] = []

    async def test() -> None:
        own = Server("127.0.0.1", free_port())
        transport = NsqTransport("a", "p", own, Access())
        transport.when_open(opened.append)
        transport.listen("w", lambda *_: None)
        transport.reach({"b": f"127.0.0.1:{own.port}"})
        transport.send(Lane("b", "w"), b"")
        for connection in connecting:
            connection._on_ready(connection)
        transport.close()

    asyncio.run(test())
    assert opened == ["w", None]
