"""A peer: somebody who does the works, in a process of its own for each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

Call = Callable[[int], dict[int, int]]


class Peer:
    """Does the works of ``tests.bench.works`` that it has methods for; a context manager.

    Args:
        folder: A folder of its own, empty, on the disk that durable peers are measured on.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def watched_pid(self) -> int | None:
        """The process whose memory a fan-out is reported with, if any."""
        return None

    @property
    def root_pid(self) -> int | None:
        """The process under which all others are that do the work, if they are watched."""
        return None

    def one(self, number: int) -> dict[int, int]:
        """Map and reduce one number."""
        raise NotImplementedError

    def client(self) -> Call:
        """Return what one client calls to have a number mapped and reduced; for one thread."""
        return self.one

    def argument(self, text: str) -> Callable[[], int]:
        """Return what gives a text to a request, and returns its length as the request saw it."""
        raise NotImplementedError

    def result(self, size: int) -> Callable[[], bytes]:
        """Return what gets ``large_text`` of a size, and returns it with what is around it."""
        raise NotImplementedError

    def first_calls(self, workflows: int) -> list[Call]:
        """Make workflows that nobody has asked yet; return what asks each."""
        raise NotImplementedError

    def fanout(self, count: int) -> dict[int, int]:
        """Map the numbers below ``count``, each by itself, and reduce all."""
        raise NotImplementedError

    def wordcount(self, path: str) -> dict[str, int]:
        """Count the words of a text, each chunk in its mapper."""
        raise NotImplementedError

    def wordcount_pairs(self, path: str) -> dict[str, int]:
        """Count the words of a text whose mapper yields one pair a word."""
        raise NotImplementedError

    def reduce_keys(self, children: int, keys: int) -> Callable[[], None]:
        """Reduce the distinct keys of all children; return what checks the result."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop what was started."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
