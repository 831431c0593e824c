"""Whether a node is ready: every part that could hang is asked, and answers in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

#: Time limit for the answer of actors.
PROBE_S: Final = 1.0

#: Returns a problem, or None. It must be cheap.
Check: TypeAlias = Callable[[], str | None]


class Readiness:
    """Asks all parts of a node for problems.

    Args:
        checks: The checks, in the order of reports.
        probe: Asks the supervisor; the future ends when it has answered.
    """

    def __init__(self, checks: Sequence[Check], probe: Callable[[], asyncio.Future[bool]]) -> None:
        self._checks = tuple(checks)
        self._probe = probe

    def troubles(self) -> list[str]:
        """Return all that the checks find."""
        return [trouble for check in self._checks if (trouble := check()) is not None]

    async def trouble(self) -> str | None:
        """Return why the node is not ready, or None."""
        try:
            await asyncio.wait_for(self._probe(), PROBE_S)
        except TimeoutError:
            return f"the supervisor did not answer within {PROBE_S:g} s"
        for check in self._checks:
            if (trouble := check()) is not None:
                return trouble
        return None
