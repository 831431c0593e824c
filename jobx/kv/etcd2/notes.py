"""What a process remembers of v2, so that it need not ask: none of it must be right or complete."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

#: So many of each kind are remembered.
_MOST: Final = 10_000


class Notes:
    """Threads may share it.

    Args:
        patience_s: How long a key may wait for its guard; then whoever reads it decides.
        clock: Monotonic.
    """

    def __init__(self, patience_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience_s = patience_s
        self._clock = clock
        self._lock = threading.Lock()
        self._indexes: dict[str, int] = {}
        self._done: dict[tuple[str, int], bool] = {}
        self._waiting: dict[tuple[str, int], float] = {}

    def wrote(self, path: str, index: int) -> None:
        """Remember the index of a file."""
        with self._lock:
            _make_room(self._indexes)
            self._indexes[path] = index

    def index(self, path: str) -> int:
        """Return the index that a file had when it was last written here, or 0."""
        return self._indexes.get(path, 0)

    def forget(self, path: str) -> None:
        """Forget the index of a file."""
        with self._lock:
            self._indexes.pop(path, None)

    def finished(self, path: str, index: int) -> None:
        """Remember that the list of a guard is done."""
        with self._lock:
            _make_room(self._done)
            self._done[path, index] = True

    def is_finished(self, path: str, index: int) -> bool:
        """Tell whether the list of a guard is known to be done."""
        return (path, index) in self._done

    def is_overdue(self, path: str, index: int, times: float = 1.0) -> bool:
        """Tell whether a file was seen to wait for its guard for so many times the patience."""
        now = self._clock()
        with self._lock:
            _make_room(self._waiting)
            return now - self._waiting.setdefault((path, index), now) >= times * self._patience_s


def _make_room(of: dict[Any, Any]) -> None:
    if len(of) >= _MOST:
        of.clear()
