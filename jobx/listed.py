"""What stands for a list. On its own, because a class that is compiled is not derived from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Listed(Iterable[Any]):
    """What is no list, yet stands for one as a value: it has a length and can be iterated."""

    __slots__ = ()
