"""The memory budget of open requests: the bytes of each, and whether more fits."""

from __future__ import annotations

from typing import Final

from jobx.errors import Overloaded

#: Retry-After for callers.
AGAIN_S: Final = 1.0


class OpenBudget:
    """Counts the memory of open requests: their arguments, mapped pairs and results.

    A request that is alone always fits, so that the largest one can run.

    Args:
        limit_bytes: The budget of all requests together.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self._held: dict[object, int] = {}

    def __contains__(self, key: object) -> bool:
        """Whether a request is counted; from any thread."""
        return key in self._held

    @property
    def has_room(self) -> bool:
        """Whether more fits."""
        return self.held_bytes < self.limit_bytes or not self._held

    def admit(self, key: object, size_bytes: int) -> None:
        """Count a request that holds ``size_bytes``.

        Raises:
            Overloaded: It does not fit; it is not counted.
        """
        others_bytes = self.held_bytes - self._held.get(key, 0)
        if others_bytes + size_bytes > self.limit_bytes and others_bytes:
            reason = f"open requests hold {others_bytes} bytes of {self.limit_bytes}"
            raise Overloaded(reason, AGAIN_S)
        self.hold(key, size_bytes)

    def hold(self, key: object, size_bytes: int) -> None:
        """Record the present size of a request, even beyond the budget."""
        self.held_bytes += size_bytes - self._held.get(key, 0)
        self._held[key] = size_bytes

    def release(self, key: object) -> None:
        """Forget a request that has ended."""
        self.held_bytes -= self._held.pop(key, 0)
