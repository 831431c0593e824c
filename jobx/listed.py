"""The base of list-like values; a separate module, because compiled classes have no subclasses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Listed(Iterable[Any]):
    """A value that reads as a list: it has a length and can be iterated."""

    __slots__ = ()
