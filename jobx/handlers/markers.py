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

    def __repr__(self) -> str:
        return f"Map({self.step!r})"


class Return:
    """A mapper's first yield: each pair that follows is part of its result."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Return()"
