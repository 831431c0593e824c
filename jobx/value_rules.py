"""Rules for keys and values, which every reader and writer of values applies.

Values: null, booleans, integers and decimals of up to ``MAX_DIGITS`` digits, floats but NaN, text
of whole characters, bytes, lists, maps, timestamps with a time zone that are of the years 1 to 9999
in UTC. Keys: the hashable ones, a list becoming a tuple.
"""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, Final, TypeAlias

import msgpack

from jobx import foreign_values, key_hashes
from jobx.errors import a_kind
from jobx.listed import Listed

Key: TypeAlias = Any  #: null, bool, int, float, text, bytes, tuple of keys, timestamp, decimal
Value: TypeAlias = Any  #: a key type, a list of values, or a map of keys to values
Pair: TypeAlias = tuple[Key, Value]

#: Nesting of lists and maps inside one value.
MAX_DEPTH: Final = 64
TOO_DEEP: Final = f"lists and maps nest deeper than {MAX_DEPTH}"
#: Digits of an integer or a decimal. This is Python's own limit for text, which takes quadratic
#: time.
MAX_DIGITS: Final = 4300
#: Characters of a decimal as text: its digits, a sign, a point, zeros, an exponent.
MAX_DECIMAL_TEXT: Final = MAX_DIGITS + 40
EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

_FIRST: Final = datetime.datetime.min.replace(tzinfo=datetime.UTC) - EPOCH
_LAST: Final = datetime.datetime.max.replace(tzinfo=datetime.UTC) - EPOCH
#: Integers are values below this, and above its negative.
BEYOND: Final = pow(10, MAX_DIGITS)  # mypyc 2.4.1 crashes on a constant of that size
#: Levels that no value has, as JSON with tags neither, nor what holds a few of them: a map with a
#: tag takes three, ``{"$map": [[1, 2]]}``. How deep parsers go is of each Python its own.
MOST_LEVELS: Final = 4 * MAX_DEPTH
_PLAIN: Final = frozenset({bytes, bool, type(None)})
#: Types of sound values and of keys of maps in them.
_LISTS: Final = frozenset({list, tuple})
_USUAL: Final = frozenset({str, int, float, bytes, bool, type(None), dict, *_LISTS})
_USUAL_KEYS: Final = frozenset({str, int, bytes, bool, type(None)})
#: Items of a level that are looked at together.
_MOST_ITEMS: Final = 1 << 20
_SCALARS: Final = (str, int, float, bytes, type(None), decimal.Decimal, datetime.datetime)


def freeze(key: Key) -> Key:
    """Return ``key`` with every list in it as a tuple, so that it can be hashed."""
    if isinstance(key, list | tuple):
        return tuple(freeze(item) for item in key)
    return key


def check_key(key: Key, depth: int = 0) -> Key:
    """Return ``key`` with lists as tuples.

    Raises:
        ValueError: It cannot be a key; the message says why.
    """
    if isinstance(key, list | tuple):
        _check_depth(depth)
        return tuple(check_key(item, depth + 1) for item in key)
    check_value(key)
    if isinstance(key, _SCALARS):
        return key
    _check_depth(depth)
    found = foreign_values.scalar(key)
    if found is key:
        raise ValueError(f"{a_kind(key)} cannot be a key")
    return check_key(found, depth + 1)


def check_map_key(key: Key) -> Key:
    """Return ``key`` if it can be a key of a map.

    Raises:
        ValueError: It cannot; the message says why.
    """
    found = check_key(key)
    if isinstance(found, tuple):
        raise ValueError("a list cannot be a key of a map")
    return found


def check_value(value: Value, depth: int = 0) -> None:
    """Check that ``value`` may be a value.

    Raises:
        ValueError: It may not; the message says why.
    """
    if isinstance(value, str):
        if not value.isascii():
            value.encode()  # refuses lone surrogates, which have no bytes
    elif type(value) in _PLAIN:
        return
    elif isinstance(value, int):
        check_integer(value)
    elif isinstance(value, float):
        if value != value:  # noqa: PLR0124 - the test for NaN
            raise ValueError("NaN is neither a key nor a value")
    elif isinstance(value, decimal.Decimal):
        decimal_text(value)
    elif isinstance(value, datetime.datetime):
        since_epoch(value)
    else:
        _check_container(value, depth)


def is_sound(value: Value) -> bool:
    """Return whether something is certainly a value if it can be packed; else ask ``check_value``.

    It takes a few native passes for each level of nesting, where ``check_value`` takes a call for
    each item. Packing sees to texts and to integers. A level of very many items is not looked at:
    lists that are in several places of others may make it as long as no memory is.

    Raises:
        ValueError: It nests too deep, or too many keys of a map have the same hash.
    """
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        kinds = set(map(type, level))
        if not kinds <= _USUAL:
            return False
        if float in kinds and any(map(math.isnan, [one for one in level if type(one) is float])):
            return False
        maps = [one for one in level if type(one) is dict] if dict in kinds else []
        lists = [] if kinds.isdisjoint(_LISTS) else [one for one in level if type(one) in _LISTS]
        if not (maps or lists):
            return True
        if sum(map(len, maps)) + sum(map(len, lists)) > _MOST_ITEMS:
            return False
        if not _USUAL_KEYS.issuperset(map(type, chain.from_iterable(maps))):
            return False
        for keys in [one for one in maps if len(one) > key_hashes.MAX_EQUAL]:
            key_hashes.check(keys)
        level = [*chain.from_iterable(map(dict.values, maps)), *chain.from_iterable(lists)]
    raise ValueError(TOO_DEEP)  # a call for each item would come to each once in every level


def nests_far(found: Any) -> bool:
    """Return whether something nests deeper than ``MOST_LEVELS``; it looks once at each item."""
    level = [found]
    for _ in range(MOST_LEVELS + 1):
        maps = [one.values() for one in level if type(one) is dict]
        lists = [one for one in level if type(one) in _LISTS]
        if not (maps or lists):
            return False
        level = [*chain.from_iterable(maps), *chain.from_iterable(lists)]
    return True


def check_integer(number: int) -> None:
    """Check that an integer may be a value.

    Raises:
        ValueError: It has too many digits.
    """
    if not -BEYOND < number < BEYOND:
        raise too_many_digits("an integer")


def decimal_text(number: decimal.Decimal) -> str:
    """Return a decimal as text.

    Raises:
        ValueError: It is not finite or has too many digits.
    """
    text = str(number)
    if not number.is_finite():
        raise ValueError(f"the decimal {text[:40]} is neither a key nor a value")
    if len(text) > MAX_DIGITS and len(number.as_tuple().digits) > MAX_DIGITS:
        raise too_many_digits("a decimal")
    return text


def decimal_of(text: str) -> decimal.Decimal:
    """Return the decimal in a text.

    Raises:
        ValueError: The decimal is not a value.
        ArithmeticError: The text is no decimal.
    """
    if len(text) > MAX_DECIMAL_TEXT:
        raise too_many_digits("a decimal")
    number = decimal.Decimal(text)
    decimal_text(number)
    return number


def too_many_digits(what: str) -> ValueError:
    """Return the error for a number with too many digits."""
    return ValueError(f"{what} of more than {MAX_DIGITS} digits is neither a key nor a value")


def since_epoch(value: datetime.datetime) -> datetime.timedelta:
    """Return the time between the epoch and a timestamp.

    Raises:
        ValueError: It has no time zone, or UTC has no such year.
    """
    if type(value) is not datetime.datetime:
        value = foreign_values.timestamp(value)
    if value.utcoffset() is None:
        raise ValueError("a timestamp needs a time zone")
    since = value - EPOCH
    if not _FIRST <= since <= _LAST:
        raise ValueError("a timestamp must be of the years 1 to 9999 in UTC")
    return since


def _check_depth(depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise ValueError(TOO_DEEP)


def _check_container(value: Value, depth: int) -> None:
    _check_depth(depth)
    if isinstance(value, msgpack.ExtType):
        raise ValueError(f"{a_kind(value)} cannot be a value")
    if isinstance(value, list | tuple | Listed):
        for item in value:
            check_value(item, depth + 1)
    elif isinstance(value, dict):
        key_hashes.check(value)
        is_foreign = False
        for key, item in value.items():
            if check_map_key(key) is not key:
                is_foreign = True
            check_value(item, depth + 1)
        if is_foreign and len(set(map(check_map_key, value))) != len(value):
            raise ValueError("a map has a key twice")
    elif not isinstance(value, bytes):
        scalar = foreign_values.scalar(value)
        if scalar is value:
            raise ValueError(f"{a_kind(value)} cannot be a value{foreign_values.hint(value)}")
        check_value(scalar, depth + 1)


def map_of_pairs(pairs: Sequence[tuple[Key, Value]]) -> dict[Key, Value]:
    """Return a map of pairs, in time linear in them.

    Raises:
        ValueError: A key is there twice, or too many have the same hash.
        TypeError: What is no key is one.
    """
    if len(pairs) <= key_hashes.MAX_EQUAL:  # so their hashes do not matter
        with suppress(TypeError):  # a list is a key
            found = dict(pairs)
            if len(found) == len(pairs):
                return found
    keys = [freeze(key) for key, _ in pairs]
    key_hashes.check(keys)
    key_hashes.check_ways(keys)
    found = dict(zip(keys, (value for _, value in pairs), strict=True))
    if len(found) != len(keys):
        raise ValueError("a map has a key twice")
    return found
