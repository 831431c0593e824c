"""What an answer holds of the memory of its web worker until its client has taken it.

The door lets all answers of a web worker have one budget; who makes a large one takes of it first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from falcon.asgi import Request

from jobx.http.byte_budget import ByteBudget

#: Key of the budget in an ASGI scope.
ANSWERS: Final = "jobx.answers"
_HELD: Final = "jobx.held"
#: What an item of a list is believed to take, and a page at most.
ITEM_BYTES: Final = 2 << 10
PAGE_BYTES: Final = 4 << 20


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
