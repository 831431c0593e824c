"""The first pairs of a result, for a page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from falcon.asgi import Request

from jobx import values
from jobx.errors import NotEnded
from jobx.handlers.blobs.shared import Folder
from jobx.handlers.pairs import run_merger
from jobx.http.resources.graphs import RequestPath
from jobx.http.resources.site import Site
from jobx.http.writing import answer_memory
from jobx.payload import Payload
from jobx.questions import AwaitRequest

#: Pairs that are shown, and characters of each key and value.
PAIRS: Final = 200
CHARACTERS: Final = 1000
_HELD_BYTES: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class First:
    """The first pairs of a result, as JSON that may be cut short."""

    pairs: list[tuple[str, str]]
    count: int


async def first_pairs(site: Site, req: Request, key: RequestPath) -> First | None:
    """Return the first pairs of a result; None if the request ended without one.

    Raises:
        NotEnded: It has not ended.
        BlobDamaged: They cannot be read.
        Overloaded: Answers in flight leave no memory for them.
    """
    outcome = await site.node.attend(AwaitRequest(**key, wait_s=0.0))
    if outcome.request.state == "running":
        raise NotEnded(key["request_id"])
    result = outcome.result
    if result is None:
        return None
    payloads = [Payload.from_wire(wire) for wire in result.payloads]
    answer_memory.hold(req, _HELD_BYTES + run_merger.ahead_bytes(payloads))
    pairs = await asyncio.to_thread(_read, payloads, site.reading.readable, result.blob_dir)
    return First(pairs, result.pairs)


def _read(
    payloads: list[Payload], readable: Callable[[str], Folder], blob_dir: str
) -> list[tuple[str, str]]:
    found = islice(run_merger.pairs(payloads, readable(blob_dir)), PAIRS)
    return [(_text(key), _text(value)) for key, value in found]


def _text(value: Any) -> str:
    text = json.dumps(values.to_jsonable(value), ensure_ascii=False)
    return text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]} … ({len(text):,} characters)"
