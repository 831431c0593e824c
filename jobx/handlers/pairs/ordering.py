"""Keys in order."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final, TypeAlias, TypeVar

from jobx import values
from jobx.values import Key

T = TypeVar("T")

#: Keys, and what is held of each.
Columns: TypeAlias = tuple[list[Any], list[Any]]

BY_KEY: Final = operator.itemgetter(0)
#: What is held of a key.
OF_KEY: Final = operator.itemgetter(1)


def ordered(held: Mapping[Any, T], names: Mapping[Any, Key]) -> list[tuple[Key, T]]:
    """Return keys in order with what is held under them.

    Args:
        held: A value, or values, by the identity of their key.
        names: The keys of identities that are not the key itself.
    """
    if names:
        return _ordered_by_type(held, names)
    try:
        return sorted(held.items(), key=BY_KEY)
    except TypeError:  # they are of types that do not compare
        return _ordered_by_type(held, names)


def _ordered_by_type(held: Mapping[Any, T], names: Mapping[Any, Key]) -> list[tuple[Key, T]]:
    keys = values.sort_keys(names.get(identity, identity) for identity in held)
    return [(key, held[values.key_identity(key)]) for key in keys]


def sort_columns(
    keys: list[Any], held: list[Any], order: Callable[[Any], Any] | None = None
) -> None:
    """Sort keys, and what is held of each along with them; equal keys stay in their order.

    They are sorted as fast as lists that are in order one after the other are merged, and no pair
    is made for each key.

    Args:
        keys: The keys, all of types that compare unless there is an ``order``.
        held: What is held of each.
        order: Returns what a key sorts by; None means the key itself.
    """
    by = keys if order is None else list(map(order, keys))
    # Sorting asks for each member of ``held`` in turn: the next key is its own. ``next`` takes the
    # member as its default, which it never returns.
    held.sort(key=partial(next, iter(by)))
    keys.sort(key=None if order is None else partial(next, iter(by)))


def are_distinct(keys: Sequence[Any]) -> bool:
    """Tell whether certainly none of the keys, which are in order, is there twice."""
    return not any(map(operator.eq, keys, islice(keys, 1, None)))


def is_ascending(keys: Sequence[Any]) -> bool:
    """Tell whether keys are all text or all numbers of one type, each above the one before."""
    if len(set(map(type, keys))) != 1:
        return False
    return all(map(operator.lt, keys, islice(keys, 1, None)))
