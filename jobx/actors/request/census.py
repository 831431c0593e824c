"""Counts of the vertices of a tree by step, so that a look at a tree of any size is cheap."""

from __future__ import annotations

from collections import defaultdict
from typing import Protocol


class _Branch(Protocol):
    """What is counted of a branch; see ``tree.py``."""

    vertex: int
    step: str
    complete: bool
    partitions: int
    gathers: int


class Census:
    """Counts by step.

    Attributes:
        open: Vertices without a final result.
        waiting: Branches that have ended mapping, and wait for their children.
        gathered: Branches whose reducer can run, or runs.
        remade: Those of ``waiting`` whose reducer could run before: some of its input is gone.
    """

    def __init__(self) -> None:
        # Each request has these, and a Counter takes ten times as long to make.
        self.open: dict[str, int] = defaultdict(int)
        self.waiting: dict[str, int] = defaultdict(int)
        self.gathered: dict[str, int] = defaultdict(int)
        self.remade: dict[int, None] = {}

    def enter(self, branch: _Branch) -> None:
        """Count a branch as it is now."""
        if branch.partitions:
            self.gathered[branch.step] += 1
        elif branch.complete:
            self.waiting[branch.step] += 1
            if branch.gathers:
                self.remade[branch.vertex] = None

    def leave(self, branch: _Branch) -> None:
        """Forget a branch as it is now, before it changes or goes."""
        if branch.partitions:
            self.gathered[branch.step] -= 1
        elif branch.complete:
            self.waiting[branch.step] -= 1
            self.remade.pop(branch.vertex, None)
