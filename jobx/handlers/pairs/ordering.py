"""Keys in order."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

from jobx import values
from jobx.values import Key

T = TypeVar("T")

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


def are_distinct(items: Sequence[Sequence[Any]]) -> bool:
    """Tell whether certainly no key of items that are in order is there twice."""
    keys = list(map(BY_KEY, items))
    return not any(map(operator.eq, keys, islice(keys, 1, None)))


def is_ascending(keys: Sequence[Any]) -> bool:
    """Tell whether keys are all text or all numbers of one type, each above the one before."""
    if len(set(map(type, keys))) != 1:
        return False
    return all(map(operator.lt, keys, islice(keys, 1, None)))
