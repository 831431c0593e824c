"""The line protocol: a call as lines that a program reads. ``answer`` has its answers.

A line is one JSON document; ``docs/languages.md`` has the reference. All other lines that a program
writes are its output.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Final, TypeAlias

import msgspec

from jobx import values
from jobx.handlers.languages.base import Grouped, context
from jobx.handlers.markers import Map
from jobx.handlers.pairs.checking import PairReader, snapshot
from jobx.handlers.pairs.spooled import SpooledValues
from jobx.handlers.scope.arguments import Arguments
from jobx.handlers.scope.names import Scope
from jobx.values import Key, Pair, Value

END: Final = b'{"end":true}\n'
_CALLS: Final = {"mapper": "map", "combiner": "combine", "reducer": "reduce"}
#: The values of a key are sent in pieces of about this size.
_PIECE_BYTES: Final = 1 << 16
#: Number of values that are encoded at once.
_SHORT: Final = 128
#: What begins a line of pairs, and how long it is at most to be read in one go: nothing else runs
#: meanwhile.
_PAIRS: Final = b'{"pairs":['
_AT_ONCE_BYTES: Final = 1 << 20
_Scalar: TypeAlias = str | int | float | bool | None
_READER: Final = msgspec.json.Decoder(list[tuple[_Scalar, _Scalar]])


def scalar_pairs(line: bytes) -> list[tuple[_Scalar, _Scalar]] | None:
    """Return the pairs of a line if all are scalars, which have neither names nor tags.

    None: it is another line, there is something else in it, or something is wrong. The strict
    reader of JSON tells what, and takes several times as long.
    """
    if not line.startswith(_PAIRS) or len(line) > _AT_ONCE_BYTES or not line.endswith(b"}"):
        return None
    try:
        return _READER.decode(memoryview(line)[len(_PAIRS) - 1 : -1])
    except (msgspec.DecodeError, ValueError):
        return None


def dump(value: Value) -> bytes:
    """Return a value as one line of JSON, with tags for values that JSON lacks."""
    return _text(value) + b"\n"


def _text(value: Value) -> bytes:
    return msgspec.json.encode(values.to_jsonable(value))


def call(scope: Scope, given: Mapping[str, Value]) -> bytes:
    """Return the line that calls a handler, or with which its call begins.

    Args:
        scope: Tells the invocation at work.
        given: The fields of the line in addition to its context.
    """
    fields = {name: values.to_jsonable(value) for name, value in given.items()}
    head = {"call": _CALLS[scope.at_work().stage], **fields, **context(scope)}
    return msgspec.json.encode(head) + b"\n"


def map_call(scope: Scope, arguments: Arguments) -> Iterator[bytes]:
    """Yield the line that calls a mapper."""
    yield call(scope, {**of_mapper(arguments), **_own(scope)})


def of_mapper(arguments: Arguments) -> dict[str, Value]:
    """Return the arguments of a mapper as the fields of its call."""
    if arguments.is_root:
        return {"arguments": dict(arguments)}
    ((key, value),) = arguments
    return {"key": key, "value": value}


def reduce_call(scope: Scope, grouped: Grouped) -> Iterator[bytes]:
    """Yield the lines that call a combiner or reducer: a head, one for each key, an end."""
    yield call(scope, {"session": scope.at_work().session, **_own(scope)})
    yield from keys(grouped)


def keys(grouped: Grouped) -> Iterator[bytes]:
    """Yield a line for each key, in pieces if it is long, and the line that ends them."""
    for key, listed in grouped:
        if len(listed) <= _SHORT:
            yield b'{"key":%b,"values":%b}\n' % (_text(key), _text(listed))
        else:
            yield from _in_pieces(key, listed)
    yield END


def _in_pieces(key: Key, listed: Iterable[Value]) -> Iterator[bytes]:
    piece, comma = bytearray(b'{"key":%b,"values":[' % _text(key)), b""
    rest = iter(listed)
    while some := list(islice(rest, _SHORT)):
        piece += comma + _text(some)[1:-1]
        comma = b","
        if len(piece) > _PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece + b"]}\n")


def _own(scope: Scope) -> dict[str, Value]:
    """Return the names that a scope factory added, as far as they can be encoded."""
    own = {}
    for name, thing in scope.own.items():
        with suppress(ValueError):
            own[name] = snapshot(thing)
    return {"scope": own} if own else {}


def held(stream: Iterator[object]) -> Iterable[object]:
    """Return everything that a mapper yields if it maps on, held in memory or in a file.

    So a program is free for the next call while a mapper that it ran is suspended.
    """
    marker = next(stream, None)
    if type(marker) is not Map:
        if marker is not None:
            yield marker
        yield from stream
        return
    intake = PairReader(stream)
    taken = intake.take()
    pairs = taken if intake.done else _spooled(taken, intake)
    yield marker
    yield from pairs


def _spooled(taken: list[Pair], intake: PairReader) -> Iterable[object]:
    spooled = SpooledValues()
    spooled.extend(taken)
    for more in iter(intake.take, []):
        spooled.extend(more)
    return spooled
