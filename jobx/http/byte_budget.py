"""What the bodies, or the answers, of one web worker may take of its memory together."""

from __future__ import annotations

import asyncio
from typing import Final

from jobx.errors import Overloaded

#: What is told to clients that came when others had filled the budget.
RETRY_S: Final = 1.0


class ByteBudget:
    """Bytes that all of one kind may take together; for one event loop.

    Args:
        noun: What takes them, in words of an error.
        most_bytes: What all may take.

    Attributes:
        taken_bytes: What they take.
        turn: Held by the one whose large body is being decoded.
    """

    def __init__(self, noun: str, most_bytes: int) -> None:
        self._noun = noun
        self._most_bytes = most_bytes
        self.taken_bytes = 0
        self.turn = asyncio.Lock()

    def take(self, count: int, own: int = 0) -> None:
        """Take ``count`` bytes more for who has ``own`` already; who is alone always may.

        Raises:
            Overloaded: Others fill it.
        """
        wanted = self.taken_bytes + count
        if wanted > self._most_bytes and self.taken_bytes > own:
            reason = f"{self._noun} of {self.taken_bytes} bytes are in flight"
            raise Overloaded(reason, RETRY_S)
        self.taken_bytes = wanted

    def give_back(self, count: int) -> None:
        """Give bytes back that were taken."""
        self.taken_bytes -= count
