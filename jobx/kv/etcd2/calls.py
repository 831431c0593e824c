"""The calls of v2 that the store uses, as values, and what is done with several of them.

What needs more than one call is a generator: it yields the calls that may be made side by side, and
gets their answers. So it knows nothing of connections and threads, and tests run it in any order.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, TypeAlias, TypeVar

from msgspec import Struct

T = TypeVar("T")


class TreeNode(Struct, frozen=True):
    """A file or a folder, as it was read.

    Attributes:
        path: Its path.
        text: What a file has.
        index: The index of its last change; 0 if it does not exist.
        is_folder: Whether it is a folder.
        seen: The index of the whole store when it was read.
    """

    path: str
    text: str = ""
    index: int = 0
    is_folder: bool = False
    seen: int = 0


class Look(Struct, frozen=True):
    """Read a path; the answer is a ``TreeNode``."""

    path: str


class List(Struct, frozen=True):
    """Read what is in a folder, with ``is_deep`` also all files below; a list of ``TreeNode``."""

    path: str
    is_deep: bool = False


class Write(Struct, frozen=True):
    """Write a file; the answer is its new index, or 0 if its condition did not hold.

    Attributes:
        path: Its path.
        text: What it gets.
        index: Only if it has this index, 0: only if it does not exist; None: in any case.
        ttl_s: So long it lives; None: for ever.
        is_refresh: Its text stays, and nobody who watches it hears of this.
    """

    path: str
    text: str
    index: int | None = None
    ttl_s: int | None = None
    is_refresh: bool = False


class Remove(Struct, frozen=True):
    """Remove a file (that has this index); the answer is whether there was one."""

    path: str
    index: int | None = None


class RemoveFolder(Struct, frozen=True):
    """Remove a folder, if it is empty or ``is_deep``; the answer is whether that was done."""

    path: str
    is_deep: bool = False


class Pause(Struct, frozen=True):
    """Wait for a while."""

    seconds: float


Call: TypeAlias = Look | List | Write | Remove | RemoveFolder | Pause
Steps: TypeAlias = Generator[list[Call], list[Any], T]


def one(call: Call) -> Steps[Any]:
    """Make one call and return its answer."""
    (answer,) = yield [call]
    return answer


def together(all_steps: Sequence[Steps[T]]) -> Steps[list[T]]:
    """Take several ways side by side, and return what each returned."""
    results: dict[int, T] = {}
    answers: dict[int, list[Any] | None] = dict.fromkeys(range(len(all_steps)))
    while answers:
        waves: dict[int, list[Call]] = {}
        for number, given in answers.items():
            try:
                waves[number] = (
                    next(all_steps[number]) if given is None else (all_steps[number].send(given))
                )
            except StopIteration as end:
                results[number] = end.value
        answers = {}
        if not waves:
            break
        flat = yield [call for wave in waves.values() for call in wave]
        at = 0
        for number, wave in waves.items():
            answers[number] = flat[at : at + len(wave)]
            at += len(wave)
    return [results[number] for number in range(len(all_steps))]
