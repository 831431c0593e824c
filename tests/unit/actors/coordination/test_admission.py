from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from jobx.actors.budget import OpenBudget
from jobx.actors.coordination.admission import refusal
from jobx.actors.messages import RequestKey
from jobx.payload import Payload

KEY, OTHER = RequestKey("w", "r"), RequestKey("w", "other")
MOST = 3


def node(held_bytes: int) -> Any:
    budget = OpenBudget(100)
    budget.hold(OTHER, held_bytes)
    settings = SimpleNamespace(requests=SimpleNamespace(max_open=MOST))
    return SimpleNamespace(settings=settings, budget=budget)


def submit(size_bytes: int) -> Any:
    return SimpleNamespace(arguments=Payload(1, size_bytes, b"x" * size_bytes))


@pytest.mark.parametrize(
    ("held_bytes", "opened", "waiting", "is_draining", "text"),
    [
        (0, 0, 0, False, None),
        (0, MOST - 1, 9, False, None),
        (0, MOST, 0, False, "3 requests are open, the most (requests.max_open)"),
        (100, 1, 0, False, "open requests hold 100 bytes of 100"),
        (100, 1, 2, False, "2 open requests wait for memory"),
        (95, 1, 0, False, "open requests hold 95 bytes of 100"),
        (90, 1, 2, False, None),
        (0, MOST, 0, True, "the node is stopping"),
    ],
)
def test_a_new_request_is_taken_if_there_is_room(
    held_bytes: int, opened: int, waiting: int, *, is_draining: bool, text: str | None
) -> None:
    asked = node(held_bytes)
    error = refusal(asked, KEY, submit(10), opened, waiting, is_draining=is_draining)
    assert (None if error is None else error.args[0]) == text
    assert (KEY in asked.budget) == (error is None)
