"""The markers that a mapper yields first."""

from __future__ import annotations


class Map:
    """A mapper's first yield: each pair that follows becomes a mapper of ``step``."""

    __slots__ = ("step",)

    def __init__(self, step: str) -> None:
        if not isinstance(step, str):
            raise TypeError(f"a step is named by text, not by a {type(step).__name__}")
        if not step:
            raise ValueError("a step is named by text that is not empty")
        self.step = step


class Return:
    """A mapper's first yield: each pair that follows is part of its result."""

    __slots__ = ()
