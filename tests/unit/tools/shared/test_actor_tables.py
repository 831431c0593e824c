"""What people see of the answers of the console."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from jobx import views
from jobx.tools.shared import actor_tables

HOSTILE = "a\x1b[31m\nb"

ACTOR = views.ActorView(
    address="n/1/5",
    name=HOSTILE,
    state="queued",
    mailbox=3,
    age_s=61.0,
    class_name="Coordinator",
    parent="n/1/4",
    handled=7,
    time_s=0.5,
    oldest_s=2.0,
    restarts=2,
    restarts_used=1,
    restart_limit=3,
    restart_reason=HOSTILE,
    held_bytes=2048,
    hidden=4,
)
SUMMARY = views.ActorSummary(
    node_id="n",
    live=3,
    queued=1,
    created=9,
    failed=1,
    handled=70,
    dead_letters=2,
    held_bytes=2048,
    limit_bytes=1 << 30,
    slow=4,
    stalls=5,
    traces=1,
    classes=[
        views.ActorClassView(
            class_name="Coordinator",
            live=1,
            created=2,
            failed=1,
            failure=HOSTILE,
            handled=70,
            time_s=0.5,
            slow=4,
            longest_s=0.25,
            mailbox=3,
            oldest_s=2.0,
        )
    ],
    slow_handlers=[
        views.SlowHandlerView(
            class_name="Coordinator",
            message="Ran",
            count=4,
            time_s=0.5,
            longest_s=0.25,
            last_at=0.0,
        )
    ],
    stalled=[views.StallView(where=HOSTILE, count=5, longest_s=0.5, last_at=0.0)],
)
LETTER = views.DeadLetterView(
    message="Ran",
    target="n/1/5",
    sender="n/1/6",
    sender_class="Batch",
    reason="its receiver is gone",
    count=2,
    first_at=0.0,
    last_at=0.0,
)
TRACED = views.TracedMessage(
    at=0.0,
    receiver="n/1/5",
    class_name="Coordinator",
    message="Ran",
    size_bytes=5000,
    size_is_least=True,
    sender="n/1/6",
    sender_class="Batch",
    waited_s=0.001,
    took_s=0.002,
    failed=True,
)


QUIET = views.ActorClassView(
    class_name="Batch", live=1, created=1, failed=0, handled=7, time_s=0.001, slow=0,
    longest_s=0.0, mailbox=0,
)  # fmt: skip


def detail(**fields: Any) -> views.ActorDetail:
    mail = [views.MailCount(message="Ran", count=3)]
    return views.ActorDetail(node_id="n", actor=ACTOR, parents=[ACTOR], mail=mail, **fields)


@pytest.mark.parametrize(
    ("say", "view", "said"),
    [
        (
            actor_tables.say_summary,
            SUMMARY,
            [
                *("3 live, 1 with mail, 9 created, 1 failed", "70 handled, 2 dead letters"),
                *("2 KiB held by open requests", "4 messages over 10 ms, 5 stalls over 100 ms"),
                *("250 ms", "2 s", "Ran"),
            ],
        ),
        (
            actor_tables.say_page,
            views.ActorPage(node_id="n", actors=[ACTOR], next="5-x"),
            ["queued  3        2 s     7        500 ms  1 min 01 s", "there are more: --after 5-x"],
        ),
        (
            actor_tables.say_actor,
            detail(unread=1000),
            [
                "3: Ran x3, and 1,000 behind them",
                "2, 1 of its budget of 3 were used; the last:",
                "2 KiB",
            ],
        ),
        (
            actor_tables.say_trace,
            views.ActorTrace(node_id="n", messages=[TRACED], took_s=3.0, is_full=True),
            [
                *("Ran (failed)", "> 5,000", "1 ms", "2 ms", "n/1/6 Batch"),
                "1 message in 3 s; the trace is full, there may have been more",
            ],
        ),
        (
            actor_tables.say_letters,
            views.DeadLetterPage(node_id="n", count=5, letters=[LETTER]),
            ["n/1/6 Batch  its receiver is gone", "not kept: 3 older ones"],
        ),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_an_answer_is_shown_with_all_that_it_says(
    capsys: pytest.CaptureFixture[str], say: Any, view: views.View, said: list[str]
) -> None:
    say(view)
    shown = capsys.readouterr().out
    assert [part for part in said if part not in shown] == []
    assert "\x1b" not in shown


def test_a_class_without_slow_messages_and_mail_has_no_times_of_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    actor_tables.say_summary(replace(SUMMARY, slow=1, stalls=1, classes=[QUIET]))
    shown = capsys.readouterr().out
    assert "1 message over 10 ms, 1 stall over 100 ms" in shown
    (row,) = (line.split() for line in shown.splitlines() if line.startswith("Batch"))
    assert row == ["Batch", "1", "1", "7", "1", "ms", "0", "-", "0", "-", "0", "0"]
