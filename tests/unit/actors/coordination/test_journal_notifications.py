"""When what a request has to tell is told: with the events that it belongs to, and not before."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from jobx.actors.coordination.journal import Journal
from jobx.actors.metrics import Metrics
from jobx.actors.notification import Notification, of_event
from jobx.actors.request.events import Done, Event, Failed, Retried
from jobx.handlers.scope.invocation import MAX_NOTIFICATIONS, NOTIFICATION_CHARACTERS, Invocation
from jobx.handlers.scope.names import Scope
from jobx.model import Failure
from tests.support import frames
from tests.support.results import finished

REQUEST = finished(None, [])
TOLD = {0: {"notifications": [["NOTIFY", "info", "h", "done", "done", ""]]}}
RAISED = Failure(kind="author", type="ValueError", message="no", handler_name="h")


def _retried(failure: Failure) -> Event:
    return Retried(0.0, "map", 0, 0, 1, 2, 0.1, failure)


@pytest.mark.parametrize(
    ("event", "kinds"),
    [
        (Done(0.0, "map", 0, 0, 1, "reduced", notes=TOLD), ["handler"]),
        (Done(0.0, "map", 0, 0, 1, "reduced"), []),
        (Failed(0.0, "map", 0, 0, 1, RAISED, TOLD), ["handler"]),
        (_retried(RAISED), ["handler.raised"]),
        (_retried(Failure(kind="crash", type="ExecutorCrashed", message="")), []),
    ],
)
def test_event_has_this_to_tell(event: Event, kinds: list[str]) -> None:
    assert [notification.kind for notification in of_event(REQUEST, event)] == kinds


def test_nothing_is_told_before_its_event_is_durable() -> None:
    told: list[Notification] = []
    state = SimpleNamespace(events=0)
    state.apply = lambda _: setattr(state, "events", state.events + 1)
    log = SimpleNamespace(append=lambda *_, **__: None)
    node = SimpleNamespace(
        node_id="n", log=log, notify=told.append, now_at=lambda: 0.0, metrics=Metrics()
    )
    journal = Journal(cast("Any", node), cast("Any", None), REQUEST, cast("Any", state))
    for _ in range(3):
        journal.append(Done(0.0, "map", 0, 0, 1, "reduced", notes=TOLD))
    counts = [len(told)]
    for number in (1, 2):
        journal.became_durable(number)
        counts.append(len(told))

    assert counts == [0, 2, 3]


def _tell(names: tuple[str, ...], message: str = "%s of 2", *args: object) -> Invocation:
    scope = Scope()
    scope.current = Invocation(frames.REQUEST, "s", 0, 1, output_bytes=10_000)
    scope.current.handler = "h"
    known = scope.names("h")
    for name in names:
        cast("Any", known[name]).error(message, *args)
    return scope.current


def test_handlers_tell_by_name_of_the_channel() -> None:
    invocation = _tell(("NOTIFY", "EMAIL", "HTTP"), "%s of 2", 1)

    assert invocation.notes() == {
        "notifications": [
            [channel, "error", "h", "%s of 2", "1 of 2", ""]
            for channel in ("NOTIFY", "EMAIL", "HTTP")
        ]
    }


def test_exception_is_told_with_its_traceback() -> None:
    scope = Scope()
    scope.current = Invocation(frames.REQUEST, "s", 0, 1, output_bytes=10_000)
    try:
        raise ValueError("no such luck")
    except ValueError:
        cast("Any", scope.names("h")["NOTIFY"]).exception("it broke")

    (notification,) = scope.current.notifications
    assert notification[4] == "it broke"
    assert "no such luck" in notification[5]


def test_too_many_notifications_go_to_the_output() -> None:
    invocation = _tell(("NOTIFY",) * (MAX_NOTIFICATIONS + 2), "x")

    assert len(invocation.notifications) == MAX_NOTIFICATIONS
    assert invocation.notes()["output"].count("one of too many: x\n") == 2


def test_long_notifications_and_half_characters_are_made_to_fit() -> None:
    invocation = _tell(("NOTIFY",), "\ud800" + "x" * 10_000)

    assert invocation.notifications[0][4].startswith("\\ud800x")
    assert len(invocation.notifications[0][4]) < NOTIFICATION_CHARACTERS + 10
