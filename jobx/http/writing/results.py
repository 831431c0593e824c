"""Answers about a request: its view, its failure, or the pairs of its result, small or streamed.

Threads read blobs, a slice at a time. All blobs are checked before the status is sent, so that a
damaged result is still an error. A stream that fails later is cut off without the final chunk.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

import msgspec
from falcon.asgi import Request, Response
from msgspec.structs import replace

from jobx.errors import BlobDamaged, InvalidInput
from jobx.handlers.blobs.shared import Folder
from jobx.handlers.pairs import run_merger, run_reader, sequences
from jobx.handlers.pairs.columns import BLOCK
from jobx.http.errors import send_failure
from jobx.http.writing import answer_memory
from jobx.http.writing.media import MEDIA_JSON, AcceptedFormats, Format
from jobx.model import Delivery
from jobx.payload import Payload
from jobx.values import Pair
from jobx.views import Outcome, RequestView, ResultView

#: A slice ends at this size.
SLICE_BYTES: Final = 64 << 10
#: A longer text is written in pieces of so many characters, each within a moment.
TEXT_CHARS: Final = 128 << 10
#: What a format writes for an empty text.
_EMPTY: Final = b'""'
#: What is sent next: bytes, or the pieces of a large text.
_Slice: TypeAlias = bytes | Iterator[bytes]
#: Slices that a stream has in memory: one made, one to be sent, one that the connection has.
_SLICES: Final = 4
#: How much more memory items take than bytes in a blob.
_UNPACKED: Final = 8
#: A run of so few items has them in memory at once in any case.
_FEW: Final = 2
#: A result up to this size that is not in blobs is written at once, without a thread, if that
#: makes no larger body than this.
DIRECT_BYTES: Final = 16 << 10
_DIRECT_BODY_BYTES: Final = 256 << 10


def send_json(resp: Response, answer: Any, status: int = 200) -> None:
    """Make ``resp`` a JSON document of plain values or views."""
    resp.status = status
    resp.content_type = MEDIA_JSON
    resp.data = msgspec.json.encode(answer)


def send_text(resp: Response, text: bytes) -> None:
    """Make ``resp`` a JSON document that the node has written."""
    resp.content_type = MEDIA_JSON
    resp.data = text


def send_running(resp: Response, request: RequestView) -> None:
    """Make ``resp`` say that a request still runs, with its location."""
    resp.set_header("Location", f"/request/{request.workflow_name}/{request.request_id}")
    send_json(resp, request, 202)


def send_delivery(resp: Response, request: RequestView, delivery: Delivery) -> None:
    """Make ``resp`` say where the result goes, instead of the result."""
    resp.set_header("Location", f"/request/{request.workflow_name}/{request.request_id}")
    send_json(resp, {"result": {}, "delivery": delivery})


@dataclass(frozen=True, slots=True)
class Reading:
    """How results are read.

    Attributes:
        max_pairs: A result with more is not sent as one JSON document.
        readable: Returns a folder of blobs for reading; blocks.
    """

    max_pairs: int
    readable: Callable[[str], Folder]


async def send_outcome(
    req: Request, resp: Response, outcome: Outcome, accepted: AcceptedFormats, reading: Reading
) -> None:
    """Make ``resp`` the result or failure of a request, or 202 while it runs.

    Args:
        req: What is answered.
        resp: Its answer.
        outcome: What the request ended with.
        accepted: What its client takes.
        reading: How its result is read.

    Raises:
        BlobDamaged: The result cannot be read.
        Overloaded: Answers in flight leave no memory for it; nothing of ``resp`` is set.
    """
    if outcome.result is not None:
        await _send_result(req, resp, outcome.result, accepted, reading)
    elif outcome.request.state == "running":
        send_running(resp, outcome.request)
    else:
        send_failure(resp, outcome.request)


async def _send_result(
    req: Request, resp: Response, result: ResultView, accepted: AcceptedFormats, reading: Reading
) -> None:
    form = accepted.small if result.pairs <= reading.max_pairs else accepted.large
    payloads = [Payload.from_wire(wire) for wire in result.payloads]
    if result.size_bytes <= DIRECT_BYTES and all(one.blob is None for one in payloads):
        items = _items(payloads)
        most = max((len(listed) for _, listed in items), default=0)
        if result.size_bytes * most <= _DIRECT_BODY_BYTES:  # each value gets its own key
            body = form.body([(key, value) for key, listed in items for value in listed])
            if len(body) > answer_memory.SMALL_BYTES:
                answer_memory.hold(req, len(body))
            resp.content_type = form.media_type
            resp.data = body
            return
    answer_memory.hold(req, _held_bytes(payloads))
    resp.content_type = form.media_type
    first, second, slices = await asyncio.to_thread(
        _begin, payloads, result, form, reading.readable
    )
    if second is None:
        resp.data = first
    else:
        resp.stream = _stream([second, first], slices)


def _held_bytes(payloads: list[Payload]) -> int:
    """Return about how much memory a result takes while it is read and sent slice by slice."""
    return _SLICES * SLICE_BYTES + _UNPACKED * run_merger.ahead_bytes(payloads)


def _begin(
    payloads: list[Payload], result: ResultView, form: Format, readable: Callable[[str], Folder]
) -> tuple[bytes, _Slice | None, Iterator[_Slice]]:
    """Return the first two slices, and the others, after a check of all blobs."""
    folder = readable(result.blob_dir)
    pairs: Iterable[Pair]
    if len(payloads) == 1 and payloads[0].count <= _FEW:
        items = _items([replace(payloads[0], inline=run_reader.whole(payloads[0], folder))])
        pairs = ((key, value) for key, listed in items for value in listed)
    else:
        run_reader.verify(payloads, folder)
        pairs = run_merger.pairs(payloads, folder)
    slices = _slices(pairs, form, result.pairs)
    return cast("bytes", next(slices)), next(slices, None) or None, slices


def _items(payloads: list[Payload]) -> list[Any]:
    """Return the items of a result that is in memory: keys, each with its values.

    Raises:
        BlobDamaged: They are not what was written.
    """
    if len(payloads) != 1 or payloads[0].count > (1 if payloads[0].sections else BLOCK):
        return list(run_merger.merge(payloads, ""))
    (run,) = payloads  # it has its order
    try:
        return sequences.unpack(run.inline or b"", run.count)
    except InvalidInput as error:
        raise BlobDamaged(run.blob or "inline", str(error)) from error


async def _stream(ready: list[_Slice], slices: Iterator[_Slice]) -> AsyncIterator[bytes]:
    """Yield slices, the last of those that are ready first; none is kept while it is sent."""
    while ready and ready[-1]:
        if isinstance(ready[-1], bytes):
            yield cast("bytes", ready.pop())
        else:
            for piece in cast("Iterator[bytes]", ready.pop()):
                yield piece
                await asyncio.sleep(0)  # so that others have their turn
        if not ready:
            ready.append(await asyncio.to_thread(next, slices, b""))


def _slices(pairs: Iterable[Pair], form: Format, count: int) -> Iterator[_Slice]:
    """Yield the body in slices: at least one, each but the last of about SLICE_BYTES.

    A larger item is a slice of its own, so that it is not copied. A large text is written only
    while it is sent, piece by piece.
    """
    body = bytearray(form.head(count))
    between = b""
    for key, value in pairs:
        body += between
        between = form.between
        if form.text is not None and type(value) is str and len(value) > TEXT_CHARS:
            before, _, after = form.item(key, "").rpartition(_EMPTY)
            yield bytes(body) + before + b'"'
            yield map(form.text, _parts(value))
            body[:] = b'"' + after
            continue
        item = form.item(key, value)
        if len(item) >= SLICE_BYTES:
            if body:
                yield bytes(body)
                body.clear()
            yield item
            continue
        body += item
        if len(body) >= SLICE_BYTES:
            yield bytes(body)
            body.clear()
    body += form.foot
    yield bytes(body)


def _parts(text: str) -> Iterator[str]:
    for start in range(0, len(text), TEXT_CHARS):
        yield text[start : start + TEXT_CHARS]
