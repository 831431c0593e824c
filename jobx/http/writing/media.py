"""Media types of results: negotiation, and the writing of results in each.

A format writes pair by pair for a long stream, and all pairs of a small body at once.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Final

import falcon
import msgspec
from falcon.asgi import Request

from jobx import values
from jobx.values import Key, Pair, Value

MEDIA_JSON: Final = "application/json"
MEDIA_MSGPACK: Final = "application/msgpack"
MEDIA_NDJSON: Final = "application/x-ndjson"

#: Bound once, because they are called for each pair or body.
_JSON: Final = msgspec.json.Encoder()
#: Values that JSON has.
_PLAIN: Final = frozenset({str, int, bool, type(None)})
#: msgpack: array with a 32-bit length.
_ARRAY32: Final = struct.Struct(">BI")


@dataclass(frozen=True, slots=True)
class Format:
    """How pairs are written: ``head(count)``, items with ``between`` them, ``foot``.

    ``body`` writes all of this for pairs in memory. Where there is ``text``, it writes a part of a
    text, which stands between quotes.
    """

    media_type: str
    head: Callable[[int], bytes]
    item: Callable[[Key, Value], bytes]
    between: bytes
    foot: bytes
    body: Callable[[list[Pair]], bytes]
    text: Callable[[str], bytes] | None = None


def _json_item(key: Key, value: Value) -> bytes:
    return _JSON.encode(_jsonable_pair(key, value))


def _json_body(pairs: list[Pair]) -> bytes:
    return _JSON.encode({"result": {"pairs": _jsonable_pairs(pairs)}})


def _json_text(part: str) -> bytes:
    return _JSON.encode(part)[1:-1]


def _json_line(key: Key, value: Value) -> bytes:
    return _json_item(key, value) + b"\n"


def _json_lines(pairs: list[Pair]) -> bytes:
    return _JSON.encode_lines(_jsonable_pairs(pairs))


def _msgpack_item(key: Key, value: Value) -> bytes:
    return values.pack((key, value))


def _msgpack_head(count: int) -> bytes:
    empty = values.pack({"result": {"pairs": []}})
    return empty[:-1] + _ARRAY32.pack(0xDD, count)


def _msgpack_body(pairs: list[Pair]) -> bytes:
    return b"".join([_msgpack_head(len(pairs)), *map(values.pack, pairs)])


def _jsonable_pairs(pairs: list[Pair]) -> list[Pair]:
    if _PLAIN.issuperset(map(type, chain.from_iterable(pairs))):
        return pairs
    return [_jsonable_pair(key, value) for key, value in pairs]


def _jsonable_pair(key: Key, value: Value) -> Pair:
    return values.to_jsonable(key), values.to_jsonable(value)


JSON: Final = Format(
    *(MEDIA_JSON, lambda _count: b'{"result":{"pairs":[', _json_item, b",", b"]}}"),
    *(_json_body, _json_text),
)
NDJSON: Final = Format(
    MEDIA_NDJSON, lambda _count: b"", _json_line, b"", b"", _json_lines, _json_text
)
MSGPACK: Final = Format(MEDIA_MSGPACK, _msgpack_head, _msgpack_item, b"", b"", _msgpack_body)

_BY_MEDIA: Final = {one.media_type: one for one in (JSON, NDJSON, MSGPACK)}


@dataclass(frozen=True, slots=True)
class AcceptedFormats:
    """The formats that a client accepts: for a small result, and for a streamed one."""

    small: Format
    large: Format


_ANY: Final = AcceptedFormats(JSON, JSON)
_COMMON: Final = {
    "*/*": _ANY,
    MEDIA_JSON: AcceptedFormats(JSON, JSON),
    MEDIA_NDJSON: AcceptedFormats(NDJSON, NDJSON),
    MEDIA_MSGPACK: AcceptedFormats(MSGPACK, MSGPACK),
}


def accepted(req: Request) -> AcceptedFormats:
    """Return the formats for the client's Accept header.

    A result is one JSON document, streamed if it is large. A client that prefers JSON and names
    NDJSON as well gets large results as NDJSON; ``*/*`` names nothing.

    Raises:
        falcon.HTTPNotAcceptable: It accepts none of them.
    """
    header = req.get_header("Accept")
    if header is None:
        return _ANY
    common = _COMMON.get(header)
    if common is not None:
        return common
    media_type = req.client_prefers(tuple(_BY_MEDIA))
    if media_type is None:
        raise falcon.HTTPNotAcceptable(description=f"results come as {', '.join(_BY_MEDIA)}")
    small = _BY_MEDIA[media_type]
    takes_lines = small is JSON and "ndjson" in header.lower() and req.client_accepts(MEDIA_NDJSON)
    return AcceptedFormats(small, NDJSON if takes_lines else small)
