"""Publishers and subscribers of NSQ: servers die, stand still, or start last."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from jobx.actors.bridge.nsq.clients import UNSENT_BYTES, Publisher, Subscriber
from jobx.actors.bridge.nsq.transport import SLOW_HEARTBEAT_S
from tests.support import nsq
from tests.support.nsq_ends import PLAIN, TOPIC, ends, kind, nsqd, server_of
from tests.support.waiting import eventually_soon

__all__ = ["kind", "nsqd"]


def test_messages_flow_again_when_nsqd_is_back(nsqd: nsq.Nsqd) -> None:
    async def test() -> None:
        async with ends(server_of(nsqd)) as both:
            await both.pass_on(b"before")
            nsqd.kill()
            await eventually_soon(lambda: not both.publisher.is_ready)
            both.opened.clear()
            nsqd.start()
            await both.pass_on(b"after")
            assert sorted(both.opened) == ["publisher", "subscriber"]

    asyncio.run(test())


def test_messages_come_on_a_connection_that_nsqd_seldom_beats_on(nsqd: nsq.Nsqd) -> None:
    async def test() -> None:
        got: list[bytes] = []
        async with ends(server_of(nsqd)) as both:
            both.subscriber.close()
            seldom = Subscriber(
                server_of(nsqd), PLAIN, TOPIC, got.append, heartbeat_s=SLOW_HEARTBEAT_S
            )
            await eventually_soon(lambda: both.publisher.publish(TOPIC, b"one") or b"one" in got)
            assert seldom._connection is not None
            assert seldom._connection.heartbeat_interval == SLOW_HEARTBEAT_S * 1000
            seldom.close()

    asyncio.run(test())


def test_messages_flow_when_nsqd_starts_last(kind: str, tmp_path: Path) -> None:
    async def test(nsqd: nsq.Nsqd) -> None:
        async with ends(server_of(nsqd)) as both:
            await asyncio.sleep(0.2)
            nsqd.start()
            await both.pass_on(b"hello")

    with nsq.running(kind, tmp_path) as nsqd:
        nsqd.kill()
        asyncio.run(test(nsqd))


def test_a_server_that_stands_still_is_noticed(nsqd: nsq.Nsqd) -> None:
    async def test() -> None:
        async with ends(server_of(nsqd)) as both:
            await both.pass_on(b"before")
            nsqd.signal(signal.SIGSTOP)
            await eventually_soon(lambda: not both.publisher.is_ready)
            await eventually_soon(lambda: not both.subscriber.is_ready)
            nsqd.signal(signal.SIGCONT)
            await both.pass_on(b"after")

    asyncio.run(test())


def test_a_publisher_without_a_connection_drops_and_counts(nsqd: nsq.Nsqd) -> None:
    async def test() -> None:
        publisher = Publisher(server_of(nsqd), PLAIN)
        publisher.publish(TOPIC, b"too early")
        assert publisher.dropped == 1
        publisher.close()

    asyncio.run(test())


def test_a_publisher_keeps_a_limited_number_of_bytes(nsqd: nsq.Nsqd) -> None:
    async def test() -> None:
        publisher = Publisher(server_of(nsqd), PLAIN)
        await eventually_soon(lambda: publisher.is_ready)
        for _ in range(UNSENT_BYTES // (1 << 19) + 10):
            publisher.publish(TOPIC, bytes(1 << 19))
        assert publisher.dropped > 0
        publisher.close()

    asyncio.run(test())
