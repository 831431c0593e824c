"""What becomes of a mapper's output: combined, then reduced."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import GeneratorType
from typing import Final, TypeAlias

from jobx.handlers.failures import Misuse, shorten
from jobx.handlers.languages import Loaded
from jobx.values import Key, Value

#: Keys in order with their values; can be iterated more than once.
Grouped: TypeAlias = Iterable[tuple[Key, Sequence[Value]]]

_NOTHING: Final[Iterator[object]] = iter(())


class Results:
    """What a combiner or reducer of the form ``handler(results)`` is given."""

    __slots__ = ("_grouped",)

    def __init__(self, grouped: Grouped) -> None:
        self._grouped = grouped

    def __iter__(self) -> Iterator[tuple[Key, Sequence[Value]]]:
        return iter(self._grouped)


def call(handler: Loaded, grouped: Grouped) -> Iterator[object]:
    """Return what a combiner or reducer yields over ``grouped``; its code runs meanwhile."""
    if handler.per_key:
        return _call_per_key(handler, grouped)
    return yielded(handler.run(Results(grouped)))


def _call_per_key(handler: Loaded, grouped: Grouped) -> Iterator[object]:
    run = handler.run
    for key, listed in grouped:
        result = run(key, listed)
        if type(result) is GeneratorType:
            yield from result
        else:
            yield from yielded(result)


def yielded(result: object) -> Iterator[object]:
    """Return what a handler gave as an iterator; None is nothing.

    Raises:
        Misuse: It cannot be iterated.
    """
    if result is None:
        return _NOTHING
    if not isinstance(result, Iterable):
        raise Misuse("protocol", f"a handler yields or returns pairs, not {shorten(result)}")
    return iter(result)
