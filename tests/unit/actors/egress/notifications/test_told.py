"""What was told is kept with its way by each channel, in bounded memory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from jobx.actors.egress.http_client import Outbound
from jobx.actors.egress.notifications import notifier as notifiers
from jobx.actors.egress.notifications import told
from jobx.actors.egress.notifications.channels import Message
from jobx.actors.egress.notifications.notifier import ChannelQueue, Clocks, Notifier
from jobx.actors.egress.notifications.told import Sending, Told
from jobx.actors.notification import Notification
from jobx.config import Settings
from jobx.config_sections import NotifySettings
from jobx.errors import Unavailable
from jobx.views import NotificationPage
from tests.support.http_sink import HttpSink, http_sink
from tests.support.waiting import after

NOTICE = Notification(
    kind="request.failed", level="error", subject="it broke", cause="c", text="why",
    workflow="w", request_id="r",
)  # fmt: skip
MESSAGE = Message("id", 1.0, "n", NOTICE)


class Refusing:
    """Refuses messages, the first of them so many times."""

    def __init__(self, times: int, tried: Callable[[], object] = lambda: None) -> None:
        self._left = times
        self._tried = tried

    def send(self, message: Message) -> None:
        self._tried()
        self._left -= 1
        if self._left >= 0:
            raise Unavailable(f"no answer to {message.notification.subject}", 0.0)


def sent_by(channel: Refusing, *notices: Notification) -> list[Sending]:
    async def scenario() -> list[Sending]:
        queue = ChannelQueue("http", "info", channel, backoff_s=0.0, to="x", now_at=lambda: 7.0)
        found = [queue.put(Message("id", 1.0, "n", notice)) for notice in notices]
        async with asyncio.timeout(60.0):
            while not queue.is_idle:
                await asyncio.sleep(0.001)
        assert queue.view().lost == sum(one.state == "lost" for one in found)
        return found

    return asyncio.run(scenario())


@pytest.mark.parametrize("times", [0, 2])
def test_message_that_was_sent_says_how_often_it_was_tried(times: int) -> None:
    (sending,) = sent_by(Refusing(times), NOTICE)
    error = "no answer to it broke" if times else None
    assert sending == Sending("http", "x", "sent", times + 1, None, 7.0, error)


def test_message_that_is_given_up_is_lost_and_the_next_one_is_sent() -> None:
    first, second = sent_by(Refusing(notifiers.ATTEMPTS), NOTICE, NOTICE)
    lost = "lost", notifiers.ATTEMPTS, "no answer to it broke"
    assert (first.state, first.attempts, first.error) == lost
    assert second.state == "sent"


def test_message_that_is_tried_again_says_when_and_after_which_error() -> None:
    sending = Sending("email", "x")
    sending.failed(Unavailable("no answer", 0.0), 12.0)
    view = sending.view()
    assert (view.state, view.attempts, view.next_at) == ("retrying", 1, 12.0)
    assert view.error == "no answer"


def test_message_in_whose_place_a_newer_one_came_is_lost_untried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notifiers, "MAX_WAITING", 1)
    first, second = sent_by(Refusing(0), NOTICE, NOTICE)
    assert (first.state, first.attempts, first.error) == (
        "lost", 0, "newer ones took its place",
    )  # fmt: skip
    assert second.state == "sent"


def test_message_that_is_being_sent_makes_no_room_for_newer_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notifiers, "MAX_WAITING", 1)
    begun, gate = threading.Event(), threading.Event()
    channel = Refusing(0, tried=lambda: (begun.set(), gate.wait(60.0)))

    async def scenario() -> list[str]:
        queue = ChannelQueue("http", "info", channel, backoff_s=0.0)
        async with asyncio.timeout(60.0):
            found = [queue.put(MESSAGE)]
            while not begun.is_set():
                await asyncio.sleep(0.001)
            found += [queue.put(MESSAGE), queue.put(MESSAGE)]
            assert (queue.view().waiting, queue.view().lost) == (2, 1)
            gate.set()
            while not queue.is_idle:
                await asyncio.sleep(0.001)
        assert (queue.view().waiting, queue.view().lost) == (0, 1)
        return [one.state for one in found]

    assert asyncio.run(scenario()) == ["sent", "lost", "sent"]


def test_the_last_ones_are_kept_and_the_others_are_counted() -> None:
    kept = Told()
    for number in range(told.KEPT + 5):
        notice = Notification("k", "info", f"s{number}", "c", "t" * 10_000)
        kept.add(float(number), notice, [])
    found = kept.views()
    assert (kept.count, len(found), found[0].subject) == (
        told.KEPT + 5, told.KEPT, f"s{told.KEPT + 4}",
    )  # fmt: skip
    assert {len(one.text) for one in found} == {told.TEXT_CHARACTERS}
    assert max(len(one.notification.text) for one in kept._last) == told.TEXT_CHARACTERS


@pytest.fixture
def sink() -> Iterator[HttpSink]:
    with http_sink() as sink:
        yield sink


def page_of(settings: Settings, *notices: Notification) -> NotificationPage:
    async def scenario() -> NotificationPage:
        outbound = Outbound(settings.outbound, [settings.notify.http_url])
        notifier = Notifier("n1", settings, outbound, Clocks(lambda: 0.0, lambda: 5.0))
        for notice in notices:
            notifier.notify(notice)
        held_back = notifier.page().held_back
        async with asyncio.timeout(60.0):
            while any(one.waiting for one in notifier.page().channels):
                await asyncio.sleep(0.001)
        await notifier.close(after(60.0))
        page = notifier.page()
        assert held_back == sum(one.count for one in page.notifications[:-1])
        return page

    return asyncio.run(scenario())


def test_page_says_what_was_told_when_and_to_whom(sink: HttpSink) -> None:
    settings = Settings(notify=NotifySettings(http_url=sink.url))
    page = page_of(settings, NOTICE, NOTICE, NOTICE)
    repeat, first = page.notifications
    assert (first.count, repeat.count, first.at, first.request_id) == (1, 2, 5.0, "r")
    assert [(one.channel, one.state) for one in first.sent] == [("log", "sent"), ("http", "sent")]
    assert [one.to for one in page.channels] == [
        "the log of the node",
        sink.url.partition("/in")[0],
    ]
    assert "token" not in str(page)


def test_notification_below_all_levels_was_told_to_nobody() -> None:
    settings = Settings(notify=NotifySettings(log_level="critical"))
    (one,) = page_of(settings, NOTICE).notifications
    assert one.sent == []
