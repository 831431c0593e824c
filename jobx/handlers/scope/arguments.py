"""The arguments of a mapper, and casting them to the types in its handler's header."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeAlias

from jobx.errors import ArgumentsRefused, quote
from jobx.handlers.failures import Misuse, shorten
from jobx.values import MAX_DIGITS, Key, Pair, Value

Spec: TypeAlias = Sequence[Sequence[str]]  #: [name, type] of each argument


class Arguments:
    """An iterable of (key, value) pairs; a value is also found by its key.

    Attributes:
        is_root: These are the request's own arguments, not a pair that was mapped.
    """

    __slots__ = ("_fields", "is_root")

    def __init__(self, fields: dict[Key, Value], is_root: bool = False) -> None:
        self._fields = fields
        self.is_root = is_root

    def __iter__(self) -> Iterator[Pair]:
        return iter(self._fields.items())

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, key: Key) -> bool:
        return key in self._fields

    def __getitem__(self, key: Key) -> Value:
        return self._fields[key]

    def get(self, key: Key, default: Value = None) -> Value:
        """Return the value of ``key``, or ``default`` when there is none."""
        return self._fields.get(key, default)

    def keys(self) -> Iterable[Key]:
        """Return the keys in order."""
        return self._fields.keys()

    def only_pair(self) -> Pair:
        """Return the key and the value for ``handler(key, value)``.

        Raises:
            Misuse: There are more arguments than one, or none.
        """
        if len(self._fields) == 1:
            for key, value in self._fields.items():
                return key, value
        reason = f"handler(key, value) takes one argument, not {len(self._fields)}"
        raise Misuse("arguments", reason)

    def __repr__(self) -> str:
        return f"Arguments({self._fields!r})"


def cast(arguments: Arguments, spec: Spec, optional: Collection[str] = ()) -> Arguments:
    """Return arguments with the types that ``spec`` names.

    The request's own arguments must be those of the spec; only optional ones may be missing. In a
    mapped pair, the value is cast if its key is in the spec, or the fields of the value if it is a
    map.

    Raises:
        Misuse: An argument is missing, unknown, or not of its type.
    """
    types = {name: kind for name, kind in spec}  # noqa: C416 - the items are lists, not tuples
    if arguments.is_root:
        _check_names(arguments, types, optional)
        return Arguments(_cast_fields(dict(arguments), types), True)
    ((key, value),) = arguments
    if isinstance(value, dict):
        return Arguments({key: _cast_fields(value, types)})
    return Arguments(_cast_fields({key: value}, types))


@dataclass(frozen=True, slots=True)
class Takes:
    """The arguments that a mapper takes according to its header."""

    spec: Spec
    optional: Collection[str] = ()

    def check(self, job: str, given: dict[Key, Value]) -> None:
        """Check the arguments of a request for a job before it is accepted.

        Raises:
            ArgumentsRefused: The mapper would refuse them.
        """
        try:
            cast(Arguments(given, is_root=True), self.spec, self.optional)
        except Misuse as error:
            known = ", ".join(self._shown(name, kind) for name, kind in self.spec)
            reason = f"{error}; it takes {known}"
            raise ArgumentsRefused(f"job {job}", quote(list(given)), reason) from error

    def _shown(self, name: str, kind: str) -> str:
        return f"{name}: {kind}{' or nothing' if name in self.optional else ''}"


def _check_names(arguments: Arguments, types: Mapping[str, str], optional: Collection[str]) -> None:
    for name in types:
        if name not in arguments and name not in optional:
            raise Misuse("arguments", f"argument {name} is missing")
    for name in arguments.keys():  # noqa: SIM118 - iterating arguments gives pairs
        if name not in types:
            known = ", ".join(types)
            raise Misuse("arguments", f"argument {name!r} is unknown; known are: {known}")


def _cast_fields(fields: dict[Key, Value], types: Mapping[str, str]) -> dict[Key, Value]:
    cast_fields = dict(fields)
    for name, kind in types.items():
        if name in fields:
            cast_fields[name] = _cast_value(name, kind, fields[name])
    return cast_fields


def _cast_value(name: str, kind: str, value: Value) -> Value:
    try:
        return _CASTS[kind](value)
    except KeyError:
        raise Misuse("arguments", f"argument {name}: there is no type named {kind}") from None
    except (TypeError, ValueError, ArithmeticError) as error:
        reason = f"argument {name}: {shorten(value)} is not a valid {kind}"
        raise Misuse("arguments", reason) from error


def bind(
    arguments: Arguments, required: Sequence[str], optional: Sequence[str]
) -> dict[str, Value]:
    """Return the keyword arguments for a function.

    Args:
        arguments: The values; if the value of a mapped pair is a map, its fields are used.
        required: Parameters without default.
        optional: Parameters with a default.

    Raises:
        Misuse: A required one is missing.
    """
    fields: Any = arguments
    if not arguments.is_root:
        ((_, value),) = arguments
        fields = value if isinstance(value, dict) else arguments
    for name in required:
        if name not in fields:
            raise Misuse("arguments", f"argument {name} is missing")
    return {name: fields[name] for name in (*required, *optional) if name in fields}


def _text(value: Value) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):  # with no more digits than Python writes
        return str(value)
    raise TypeError("not a text")


def _integer(value: Value) -> int:
    if isinstance(value, Decimal):
        return _integer_of_decimal(value)
    if isinstance(value, float) and not value.is_integer():
        raise ValueError("has a fraction")
    return int(value)


def _integer_of_decimal(value: Decimal) -> int:
    """Return a decimal as an integer; one of a million digits would take minutes to make."""
    if value.adjusted() >= MAX_DIGITS:
        raise ValueError(f"has more than {MAX_DIGITS} digits")
    if value != value.to_integral_value():
        raise ValueError("has a fraction")
    return int(value)


def _number(value: Value) -> float:
    number = float(value)
    if number != number:  # noqa: PLR0124 - the test for NaN
        raise ValueError("NaN is no value")
    return number


def _boolean(value: Value) -> bool:
    word = value.lower() if isinstance(value, str) else value
    if word in ("true", "yes", "1", 1):
        return True
    if word in ("false", "no", "0", 0):
        return False
    raise ValueError("neither true nor false")


def _octets(value: Value) -> bytes:
    return value.encode() if isinstance(value, str) else _only(bytes)(value)


def _only(kind: type) -> Callable[[Value], Any]:
    def check(value: Value) -> Value:
        if not isinstance(value, kind):
            raise TypeError(f"not a {kind.__name__}")
        return value

    return check


_CASTS: Final[dict[str, Callable[[Value], Any]]] = {
    "str": _text,
    "int": _integer,
    "float": _number,
    "bool": _boolean,
    "bytes": _octets,
    "list": _only(list),
    "dict": _only(dict),
    "any": lambda value: value,
}
