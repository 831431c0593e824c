"""What an answer holds of the memory of its web worker until its client has taken it.

The door lets all answers of a web worker have one budget; who makes a large one takes of it first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from falcon.asgi import Request, Response

from jobx.http.byte_budget import ByteBudget

#: Key of the budget in an ASGI scope.
ANSWERS: Final = "jobx.answers"
_HELD: Final = "jobx.held"
#: What an item of a list is believed to take, and a page at most.
ITEM_BYTES: Final = 2 << 10
PAGE_BYTES: Final = 4 << 20
#: An answer up to this size is not counted.
SMALL_BYTES: Final = 16 << 10


def hold(req: Request, count: int) -> None:
    """Take ``count`` bytes for the answer of a request until that is sent.

    Raises:
        Overloaded: Other answers fill the budget.
    """
    budget: ByteBudget | None = req.scope.get(ANSWERS)
    if budget is not None:
        held = req.scope.get(_HELD, 0)
        budget.take(count, held)
        req.scope[_HELD] = held + count


def settle(req: Request, resp: Response, *, must_be_given: bool = False) -> None:
    """Hold what an answer takes, now that it is there: more or less than was taken before.

    An answer that is a stream holds what it took.

    Args:
        req: What is answered.
        resp: Its answer.
        must_be_given: It says what was changed, so it is given whatever others hold.

    Raises:
        Overloaded: Other answers fill the budget.
    """
    budget: ByteBudget | None = req.scope.get(ANSWERS)
    if budget is None or resp.stream is not None or resp.sse is not None:
        return
    size_bytes = len(resp.data or b"")
    wanted = size_bytes if size_bytes > SMALL_BYTES else 0
    held = req.scope.get(_HELD, 0)
    if wanted <= held or must_be_given:
        budget.give_back(held - wanted)
    else:
        budget.take(wanted - held, held)
    req.scope[_HELD] = wanted


def hold_page(req: Request, limit: int) -> None:
    """Take for a list of up to ``limit`` items, before it is asked for. Raises as ``hold``."""
    hold(req, min(limit * ITEM_BYTES, PAGE_BYTES))


def hold_trace(req: Request, limit: int) -> None:
    """Take for a trace of up to ``limit`` invocations, before it is asked for; as ``hold``."""
    hold(req, limit * ITEM_BYTES)


def give_back(scope: Mapping[str, Any]) -> None:
    """Give back what the answer of a scope held: it is sent, or nobody takes it any more."""
    held = scope.get(_HELD, 0)
    if held:
        scope[ANSWERS].give_back(held)
