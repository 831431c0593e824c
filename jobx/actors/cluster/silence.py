"""Which nodes are registered but do not answer, and when to say so. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Final

#: A registered node that does not answer for so long is named …
SILENT_S: Final = 15.0
#: … and again after this.
AGAIN_S: Final = 600.0


class Silence:
    """Remembers since when nodes do not answer."""

    def __init__(self) -> None:
        self._due_at: dict[str, float] = {}

    def due(self, silent: Collection[str], now: float) -> list[str]:
        """Return which of the nodes that do not answer now are named now."""
        self._due_at = {name: self._due_at.get(name, now + SILENT_S) for name in silent}
        found = [name for name, due_at in self._due_at.items() if now >= due_at]
        self._due_at.update(dict.fromkeys(found, now + AGAIN_S))
        return found

    @property
    def next_at(self) -> float:
        """When a node is named next, if none answers until then."""
        return min(self._due_at.values(), default=math.inf)
