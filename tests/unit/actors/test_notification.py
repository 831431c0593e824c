from __future__ import annotations

import pytest

from jobx.actors import notification
from jobx.actors.notification import Notification, handlers_changed, is_at_least
from jobx.errors import StoreFull


@pytest.mark.parametrize(
    ("level", "least", "is_told"),
    [("error", "warning", True), ("warning", "warning", True), ("info", "warning", False)],
)
def test_levels_are_in_order(level: str, least: str, is_told: bool) -> None:
    assert is_at_least(level, least) is is_told  # type: ignore[arg-type]  # a table of texts


def test_store_that_stalls_again_and_again_is_one_cause() -> None:
    first = notification.store_stalled("n", StoreFull("here", "no room"))
    second = notification.store_stalled("n", StoreFull("there", "none either"))
    assert (first.kind, first.cause) == (second.kind, second.cause)


def test_changed_handlers_are_named_by_workflow() -> None:
    before = {("w", "a"): "1", ("w", "b"): "1", ("v", "c"): "1"}
    after = before | {("w", "b"): "2"}
    (told,) = handlers_changed(before, after)
    assert isinstance(told, Notification)
    assert (told.workflow, "b" in f"{told.subject} {told.text}") == ("w", True)
