from __future__ import annotations

import asyncio
import threading

import pytest

from jobx.actors.egress.notifications import notifier
from jobx.actors.egress.notifications.channels import Message, message
from jobx.actors.egress.notifications.notifier import ChannelQueue
from jobx.actors.notification import Notification
from jobx.actors.threads import MAX_OVERDUE

BOUND_S = 60.0
NOTICE = Notification(kind="k", level="error", subject="s", cause="c")


class GatedChannel:
    """Takes messages as long as its gate is open, and else hangs."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.tried: list[str] = []

    def send(self, message: Message) -> None:
        self.tried.append(message.delivery_id)
        assert self.gate.wait(BOUND_S)


def test_channel_that_hangs_loses_its_messages_and_takes_the_next_when_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(notifier, "SEND_S", 0.5)
    channel = GatedChannel()
    first, second = (message(NOTICE, "n", 1.0) for _ in range(2))

    async def scenario() -> None:
        queue = ChannelQueue("http", "info", channel, backoff_s=0.001)
        queue.put(first)
        await _idle(queue)
        assert channel.tried == [first.delivery_id] * MAX_OVERDUE
        channel.gate.set()
        queue.put(second)
        await _idle(queue)

    asyncio.run(asyncio.wait_for(scenario(), BOUND_S))
    assert set(channel.tried[MAX_OVERDUE:]) == {second.delivery_id}
    assert "notifications by http: 1 were not sent: 4 calls of channel http" in caplog.text


async def _idle(queue: ChannelQueue) -> None:
    while not queue.is_idle:
        await asyncio.sleep(0.001)
