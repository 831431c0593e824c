"""Request bodies: read, decompressed, checked and decoded within limits."""

from __future__ import annotations

import asyncio
import contextlib
import math
import zlib
from collections.abc import Callable
from io import BytesIO
from itertools import chain
from types import NoneType
from typing import Any, Final, TypeVar

from falcon.asgi import Request

from jobx import values
from jobx.config_sections import HttpSettings
from jobx.errors import InvalidInput, TooLarge, UnsupportedMedia
from jobx.http.reading import item_count, json_bodies
from jobx.http.reading.intake import INTAKE, Intake
from jobx.http.reading.json_bodies import shown
from jobx.http.writing.media import MEDIA_JSON, MEDIA_MSGPACK

T = TypeVar("T")

#: Items (lists, maps and their members) of an entity, which the node reads on its loop.
ENTITY_ITEMS: Final = 20_000
_ENCODINGS: Final = ("identity", "gzip", "x-gzip")
_WHERE: Final = "body"
#: A body up to this is decoded within a millisecond or two.
_QUICK_BYTES: Final = {MEDIA_JSON: 64 << 10, MEDIA_MSGPACK: 8 << 10}
#: A body up to this hardly comes in several chunks.
_ONE_CHUNK_BYTES: Final = 64 << 10
#: The memory of a decoded body up to this is not counted.
_SMALL_BYTES: Final = 4 << 10
#: Least memory of a decoded item: an object, and a place in a list or map.
_ITEM_BYTES: Final = 64
_SPOKEN: Final = f"send {MEDIA_JSON} or {MEDIA_MSGPACK}, and name it in Content-Type"
_TEXT: Final = frozenset({str})
_PLAIN_KEYS: Final = frozenset({str, int, bytes, bool, NoneType})
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS


async def entity(req: Request, settings: HttpSettings) -> dict[str, Any]:
    """Return the fields of an entity: a body of few items (see ``document``)."""
    return await document(req, settings, dict, max_items=ENTITY_ITEMS)


async def document(
    req: Request,
    settings: HttpSettings,
    take: Callable[[dict[str, Any]], T],
    *,
    tagged: bool = False,
    max_items: int | None = None,
) -> T:
    """Return ``take`` of the body, which must be one JSON or msgpack map with text keys.

    Large bodies are read in a thread, one after the other, because the interpreter runs one
    thread at a time, and so the memory for reading is needed only once.

    Args:
        req: The request.
        settings: The limits.
        take: Called with the map in the reading thread, so that the map is freed early.
        tagged: JSON has the tags of ``values.to_jsonable``.
        max_items: A lower limit of items than that of the settings.

    Raises:
        TooLarge: It is larger than ``max_body_bytes``, as sent or decompressed, or in items.
        UnsupportedMedia: Its type or encoding is not supported.
        InvalidInput: It is malformed, nests deeper than ``max_depth`` or is not a map.
    """
    media_type = _media_type(req.content_type)
    encoding = _encoding(req.get_header("Content-Encoding"))
    most = min(settings.max_items, max_items or settings.max_items)
    body = await read(req, settings.max_body_bytes)
    if encoding is None and len(body) <= _QUICK_BYTES[media_type]:
        _take(req, _decoded_bytes(body, media_type, most))
        return take(_decode(body, media_type, settings, tagged))
    intake = _intake(req)
    async with intake.turn if intake else contextlib.nullcontext():
        if encoding is not None:
            body = await asyncio.to_thread(_decompress, body, encoding, settings.max_body_bytes)
            _take(req, len(body))
        _take(req, await asyncio.to_thread(_decoded_bytes, body, media_type, most))
        return await asyncio.to_thread(lambda: take(_decode(body, media_type, settings, tagged)))


def _encoding(header: str | None) -> str | None:
    if header is None:
        return None
    name = header.strip().lower()
    if name not in _ENCODINGS:
        raise UnsupportedMedia("header Content-Encoding", name[:80], "only gzip is supported")
    return name


def let_go(req: Request, kept_bytes: int) -> None:
    """Give back the budget of a body, except for ``kept_bytes``."""
    intake = _intake(req)
    if intake is not None:
        intake.let_go(kept_bytes)


def refuse(req: Request) -> None:
    """Check that a request has no body.

    Raises:
        InvalidInput: It has one.
    """
    if req.content_length or req.get_header("Transfer-Encoding"):
        size = f"{req.content_length} bytes" if req.content_length else "of unknown size"
        raise InvalidInput("body", size, "this address takes no body")


def _intake(req: Request) -> Intake | None:
    found: Intake | None = req.scope.get(INTAKE)
    return found


def _take(req: Request, count: int) -> None:
    intake = _intake(req)
    if intake is not None:
        intake.take(count)


def _decoded_bytes(body: bytes, media_type: str, max_items: int) -> int:
    """Return the approximate memory of a decoded body, without decoding it.

    Raises:
        TooLarge: It has too many items.
    """
    if len(body) <= _SMALL_BYTES:
        return 0
    if media_type == MEDIA_MSGPACK:
        return _ITEM_BYTES * item_count.count_items(body, max_items)
    return _ITEM_BYTES * json_bodies.count_items(body, max_items)


def _decode(body: bytes, media_type: str, settings: HttpSettings, tagged: bool) -> dict[str, Any]:
    if not body:
        raise InvalidInput(_WHERE, "nothing", "is empty; a map is needed, such as {}")
    if media_type == MEDIA_JSON:
        found = json_bodies.decode(body, settings.max_depth)
        if tagged and b"$" in body and b'"$' in body:  # one character is found much quicker
            found = values.from_jsonable(found)
            _check(found, body)
    else:
        found = _decode_msgpack(body, settings.max_depth)
    if not isinstance(found, dict) or not _TEXT.issuperset(map(type, found)):
        raise InvalidInput(_WHERE, shown(body), "must be a map with text keys")
    return found


def _decode_msgpack(body: bytes, max_depth: int) -> Any:
    found = values.unpack_foreign(body)
    level, is_sound, depth = [found], True, 0
    while level:
        maps = [item for item in level if type(item) is dict]
        lists = [item for item in level if type(item) is list]
        if depth == max_depth and (maps or lists):
            raise InvalidInput(_WHERE, shown(body), f"nests deeper than {max_depth}")
        is_sound = is_sound and _are_sound(level, maps)
        level = [*chain.from_iterable(one.values() for one in maps), *chain.from_iterable(lists)]
        depth += 1
    if not is_sound:
        _check(found, body)
    return found


def _are_sound(level: list[Any], maps: list[dict[Any, Any]]) -> bool:
    """Return whether what was unpacked certainly needs no further check, but for what is in it.

    Unpacking has seen to everything but numbers that are none, and lists that are keys.
    """
    if not _PLAIN_KEYS.issuperset(map(type, chain.from_iterable(maps))):
        return False
    if float not in set(map(type, level)):
        return True
    return not any(map(math.isnan, [item for item in level if type(item) is float]))


def _check(found: Any, body: bytes) -> None:
    try:
        values.check_value(found)
    except ValueError as error:
        raise InvalidInput(_WHERE, shown(body), str(error)) from error


def _media_type(content_type: str | None) -> str:
    """Return the type of a body, one of two.

    A body without a type is refused, because any web page can make a browser send it anywhere.
    """
    if content_type == MEDIA_JSON:
        return MEDIA_JSON
    if content_type is None:
        raise UnsupportedMedia("header Content-Type", "none", _SPOKEN)
    name, _, parameters = content_type.lower().partition(";")
    name, parameters = name.strip(), parameters.strip().replace('"', "")
    if name == MEDIA_JSON and parameters in ("", "charset=utf-8", "charset=utf8"):
        return MEDIA_JSON
    if name in (MEDIA_MSGPACK, "application/x-msgpack"):
        return MEDIA_MSGPACK
    raise UnsupportedMedia("header Content-Type", content_type[:80], _SPOKEN)


async def read(req: Request, max_bytes: int) -> bytes:
    """Return a body as it was sent.

    Raises:
        TooLarge: It has more than ``max_bytes``.
        InvalidInput: It is not whole.
    """
    length = req.content_length
    if length is not None and length > max_bytes:
        raise _too_large(f"{length} bytes", max_bytes)
    if length is not None and length <= _ONE_CHUNK_BYTES:
        body = await req.stream.read()
    else:
        body = await _joined(req, max_bytes)
    if length is not None and len(body) != length:
        raise InvalidInput(_WHERE, f"{len(body)} bytes", f"ended early, {length} were announced")
    return body


async def _joined(req: Request, max_bytes: int) -> bytes:
    """Return a body whose chunks are joined as they come, so that their memory is used again."""
    body = BytesIO()
    async for chunk in req.stream:
        body.write(chunk)
        if body.tell() > max_bytes:
            raise _too_large("a chunked body", max_bytes)
    return body.getvalue()  # not copied


def _decompress(body: bytes, encoding: str, max_bytes: int) -> bytes:
    if encoding == "identity":
        return body
    inflate = zlib.decompressobj(_GZIP_WINDOW)
    try:
        inflated = inflate.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise InvalidInput(_WHERE, shown(body), f"is not gzip: {error}") from error
    if len(inflated) > max_bytes:
        raise _too_large("a compressed body", max_bytes)
    if not inflate.eof or inflate.unused_data:
        raise InvalidInput(_WHERE, shown(body), "is not one whole gzip member")
    return inflated


def _too_large(value: str, max_bytes: int) -> TooLarge:
    return TooLarge(_WHERE, value, f"may have at most {max_bytes} bytes")
