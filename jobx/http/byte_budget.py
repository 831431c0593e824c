"""Bounds the memory of all bodies, or of all answers, of one web worker."""

from __future__ import annotations

import asyncio
from typing import Final

from jobx.errors import Overloaded

#: Retry-After for clients that find the budget full.
RETRY_S: Final = 1.0


class ByteBudget:
    """A shared budget of bytes; for one event loop.

    Args:
        noun: What uses it, for errors.
        most_bytes: The budget.

    Attributes:
        taken_bytes: The used bytes.
        turn: Held while a large body is decoded.
    """

    def __init__(self, noun: str, most_bytes: int) -> None:
        self._noun = noun
        self._most_bytes = most_bytes
        self.taken_bytes = 0
        self.turn = asyncio.Lock()

    def take(self, count: int, own: int = 0) -> None:
        """Take ``count`` more bytes for a user that has ``own`` already; a single user always may.

        Raises:
            Overloaded: Others fill the budget.
        """
        wanted = self.taken_bytes + count
        if wanted > self._most_bytes and self.taken_bytes > own:
            reason = f"{self._noun} of {self.taken_bytes} bytes are in flight"
            raise Overloaded(reason, RETRY_S)
        self.taken_bytes = wanted

    def give_back(self, count: int) -> None:
        """Give back taken bytes."""
        self.taken_bytes -= count
