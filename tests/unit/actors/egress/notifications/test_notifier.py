from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from jobx.actors.egress import signing
from jobx.actors.egress.http_client import Outbound
from jobx.actors.egress.notifications import channels
from jobx.actors.egress.notifications import notifier as notifiers
from jobx.actors.egress.notifications.notifier import Clocks, Notifier
from jobx.actors.notification import Notification, from_notes, handlers_changed, request_failed
from jobx.config import Settings
from jobx.config_sections import MailSettings, NotifySettings, OutboundSettings
from jobx.errors import ConfigError
from jobx.logs import JsonLines
from jobx.model import Failure
from tests.support.http_sink import HttpSink, http_sink
from tests.support.mail_sink import PASSWORD, USER, mail_sink
from tests.support.ports import free_port
from tests.support.results import finished
from tests.support.waiting import after

ERROR = Notification(
    kind="request.failed",
    level="error",
    subject="it broke",
    cause="c",
    text="why\nso",
    workflow="w",
)


@pytest.fixture
def sink() -> Iterator[HttpSink]:
    with http_sink() as sink:
        yield sink


def _tell(settings: Settings, *notifications: Notification) -> None:
    async def tell() -> None:
        clocks = Clocks(time.monotonic, time.time)
        outbound = Outbound(settings.outbound, [settings.notify.http_url])
        notifier = Notifier("n1", settings, outbound, clocks)
        for notification in notifications:
            notifier.notify(notification)
        await notifier.close(after(60.0))

    asyncio.run(tell())


def _notify(**fields: Any) -> Settings:
    return Settings(notify=NotifySettings(**fields))


def _level(level: Any, **fields: Any) -> Notification:
    return Notification(kind="k", level=level, subject=level, cause=level, **fields)


def test_notification_is_posted_signed_with_an_id(sink: HttpSink) -> None:
    _tell(_notify(http_url=sink.url, http_key="k"), ERROR)

    (post,) = sink.posts
    assert signing.is_valid("k", post.headers, time.time(), post.body)
    body = json.loads(post.body)
    assert body["delivery_id"] == post.headers["webhook-id"]
    assert {name: body[name] for name in ("node", "kind", "level", "count", "subject", "text")} == {
        "node": "n1",
        "kind": "request.failed",
        "level": "error",
        "count": 1,
        "subject": "it broke",
        "text": "why\nso",
    }


def test_repeated_try_has_the_same_id(sink: HttpSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifiers.ChannelQueue.__init__, "__defaults__", (0.01,))
    sink.answer = lambda _: (503 if len(sink.posts) < 3 else 204, {})
    _tell(_notify(http_url=sink.url), ERROR)

    assert len({post.headers["webhook-id"] for post in sink.posts}) == 1
    assert len(sink.posts) == 3


def test_repeats_of_a_cause_are_counted_in_one_message(sink: HttpSink) -> None:
    _tell(_notify(http_url=sink.url), *[ERROR] * 1000)

    assert [json.loads(post.body)["count"] for post in sink.posts] == [1, 999]


def test_channels_have_levels_of_their_own(
    sink: HttpSink, caplog: pytest.LogCaptureFixture
) -> None:
    settings = _notify(http_url=sink.url, http_level="error", log_level="warning")
    with caplog.at_level(logging.DEBUG, "jobx.notify"):
        _tell(settings, *map(_level, ("info", "warning", "error", "critical")))

    assert [json.loads(post.body)["subject"] for post in sink.posts] == ["error", "critical"]
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR", "CRITICAL"]


def test_notification_for_one_channel_goes_there_only(
    sink: HttpSink, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "jobx.notify"):
        _tell(_notify(http_url=sink.url), _level("error", channel="http"))

    assert (len(sink.posts), caplog.records) == (1, [])


def test_notification_for_a_channel_that_is_not_set_up_goes_to_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG, "jobx.notify"):
        _tell(Settings(), _level("error", channel="email"))

    assert len(caplog.records) == 1


def test_line_in_the_log_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    notification = Notification(
        kind="k", level="error", subject="a\nERROR forged\x1b[2J", cause="c"
    )
    _tell(Settings(), notification)

    assert caplog.messages == ["k: a ERROR forged [2J"]


def test_channel_that_is_down_is_nobodys_trouble_and_keeps_no_secret(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifiers.ChannelQueue.__init__, "__defaults__", (0.001,))
    url = f"http://127.0.0.1:{free_port()}/?token=hidden"
    _tell(_notify(http_url=url, http_key="planted-http-secret"), ERROR)

    assert any("1 were not sent" in message for message in caplog.messages)
    assert "hidden" not in caplog.text
    assert "planted" not in caplog.text


def test_notification_is_mailed(tmp_path: Path) -> None:
    with mail_sink(tmp_path) as sink:
        settings = Settings(
            outbound=OutboundSettings(ca_file=str(tmp_path / "ca.pem")),
            mail=MailSettings(
                host="localhost",
                port=sink.port,
                sender="jobx@example.com",
                username=USER,
                password=PASSWORD,
            ),
            notify=NotifySettings(email_to=("ops@example.com",)),
        )
        _tell(settings, ERROR, _level("info"))

    (mail,) = sink.mails
    assert mail["Subject"] == "[JobX] error: it broke"
    assert mail.get_content().splitlines()[-2:] == ["why", "so"]


def test_mail_without_a_sender_is_refused_by_its_setting() -> None:
    with pytest.raises(ConfigError, match=r"mail\.sender"):
        _tell(_notify(email_to=("ops@example.com",)))


def test_what_handlers_tell_is_one_cause_where_only_numbers_differ() -> None:
    wires = [["NOTIFY", "info", "h", f"row {n} is bad", f"row {n} is bad", ""] for n in range(9)]
    mails = [["EMAIL", "error", "h", "%s", "done", ""]]
    notifications = from_notes(
        finished(None, []), {0: {"notifications": wires}, 3: {"notifications": mails}}
    )

    assert [(n.channel, n.level, n.subject, n.count) for n in notifications] == [
        (None, "info", "row 8 is bad", 9),
        ("email", "error", "done", 1),
    ]


def test_changed_handlers_are_told_once_a_workflow() -> None:
    before = {("w", "a"): "1", ("w", "b"): "1", ("v", "c"): "1", ("u", "d"): "1"}
    after = {("w", "a"): "2", ("w", "e"): "1", ("u", "d"): "1", ("w", "b"): "1"}

    assert [notification.subject for notification in handlers_changed(before, after)] == [
        "workflow v runs new code: c",
        "workflow w runs new code: a, e",
    ]


def test_the_log_says_which_invocation_a_notification_is_about(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = Failure(
        kind="author", type="E", message="", invocation_id="m17", step_name="s", attempt=2
    )
    request = replace(finished(None, []), failure=failure)
    monkeypatch.setattr(channels, "_log", log := logging.Logger("notify"))
    log.addHandler(caplog.handler)
    channels.to_log(request_failed(request))
    channels.to_log(ERROR)
    first, second = (json.loads(JsonLines("n1").format(one)) for one in caplog.records)
    assert [first[name] for name in ("workflow", "invocation", "step", "attempt")] == [
        *("texts", "m17", "s", 2)
    ]
    assert first["request"] == request.request_id
    assert "request" not in second
