"""Whether a node is ready: everything that could stand still is asked, and answers in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

#: How long actors may take to answer.
PROBE_S: Final = 1.0

#: Returns what is wrong, None for nothing. Must be cheap.
Check: TypeAlias = Callable[[], str | None]


class Readiness:
    """Asks all parts of a node whether they are well.

    Args:
        checks: What is looked at, in the order in which it is told.
        probe: Asks the supervisor; the future ends when it has answered.
    """

    def __init__(self, checks: Sequence[Check], probe: Callable[[], asyncio.Future[bool]]) -> None:
        self._checks = tuple(checks)
        self._probe = probe

    async def trouble(self) -> str | None:
        """Return why the node is not ready, or None: it is."""
        try:
            await asyncio.wait_for(self._probe(), PROBE_S)
        except TimeoutError:
            return f"the supervisor did not answer within {PROBE_S:g} s"
        for check in self._checks:
            if (trouble := check()) is not None:
                return trouble
        return None
