"""A publisher and a subscriber of an nsqd."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from jobx.actors.bridge.nsq.clients import Publisher, Server, Subscriber
from jobx.actors.bridge.nsq.connection import Access
from tests.support import nsq
from tests.support.waiting import eventually_soon

TOPIC = "jobx.w.n"
PLAIN = Access()


def server_of(nsqd: nsq.Nsqd) -> Server:
    return Server("127.0.0.1", nsqd.port)


@pytest.fixture(params=nsq.KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def nsqd(kind: str, tmp_path: Path) -> Iterator[nsq.Nsqd]:
    with nsq.running(kind, tmp_path) as server:
        yield server


class Ends:
    """A publisher and a subscriber of one topic."""

    def __init__(self, server: Server, access: Access = PLAIN) -> None:
        self.got: list[bytes] = []
        self.opened: list[str] = []
        hear = self.opened.append
        self.subscriber = Subscriber(
            server, access, TOPIC, self.got.append, lambda: hear("subscriber")
        )
        self.publisher = Publisher(server, access, lambda: hear("publisher"))

    async def pass_on(self, body: bytes) -> None:
        """Wait until a message arrives; it is sent until then."""

        def has_come() -> bool:
            self.publisher.publish(TOPIC, body)
            return body in self.got

        await eventually_soon(has_come)

    async def close(self) -> None:
        self.subscriber.close()
        self.publisher.close()
        await asyncio.sleep(0)


@asynccontextmanager
async def ends(server: Server, access: Access = PLAIN) -> AsyncIterator[Ends]:
    both = Ends(server, access)
    try:
        yield both
    finally:
        await both.close()


def any_of(reasons: str, caplog: pytest.LogCaptureFixture) -> bool:
    told = [record.getMessage() for record in caplog.records]
    return any(reason in text for reason in reasons.split("|") for text in told)
