"""Handles dumps of requests: streamed, chunk by chunk as the client takes them."""

from __future__ import annotations

import typing
from collections.abc import AsyncIterator
from typing import Any, Final

from falcon.asgi import Request, Response

from jobx import questions
from jobx.errors import InvalidInput, quote
from jobx.http.reading import headers
from jobx.http.resources.request_views import STATES
from jobx.http.resources.requests import key_of
from jobx.http.resources.site import Site
from jobx.http.writing import answer_memory
from jobx.http.writing.media import MEDIA_JSON
from jobx.model import check_name
from jobx.views import DumpChunk

MEDIA_TYPES: Final = {
    "ndjson": "application/x-ndjson",
    "json": MEDIA_JSON,
    "text": "text/plain; charset=utf-8",
}
MAX_VALUE_BYTES: Final = 64 << 20
_VALUE_BYTES: Final = 1 << 20
MAX_ATTEMPTS: Final = 1_000_000
#: A chunk on its way, and the one before it.
_HELD_BYTES: Final = 1 << 20


async def dump(site: Site, req: Request, resp: Response, workflow: str, request_id: str) -> None:
    """Answer with every invocation of a request."""
    question = _asked(req, key_of(workflow, request_id))
    answer_memory.hold(req, _HELD_BYTES)
    first = await site.node.call(question)
    resp.content_type = MEDIA_TYPES["text" if question.is_flat else question.form]
    resp.stream = _stream(site, first)


def _asked(req: Request, key: Any) -> questions.GetDump:
    form = req.get_param("format") or "ndjson"
    if form not in MEDIA_TYPES:
        raise InvalidInput(
            "query parameter format", quote(form), f"is none of {', '.join(MEDIA_TYPES)}"
        )
    states = _several(req, "state")
    for state in states:
        if state not in STATES:
            reason = f"must be one of {', '.join(STATES)}"
            raise InvalidInput("query parameter state", quote(state), reason)
    steps = [check_name("query parameter step", step) for step in _several(req, "step")]
    return questions.GetDump(
        **key,
        form=typing.cast("Any", form),
        is_flat=bool(headers.flag(req, "flat")),
        states=tuple(states),
        steps=tuple(steps),
        below=req.get_param("below"),
        attempts=headers.number(req, "attempts", MAX_ATTEMPTS, 1),
        max_value_bytes=headers.number(req, "max_value_bytes", MAX_VALUE_BYTES, _VALUE_BYTES),
        is_redacted=bool(headers.flag(req, "redact")),
    )


def _several(req: Request, name: str) -> list[str]:
    return [one for one in (req.get_param(name) or "").split(",") if one]


async def _stream(site: Site, chunk: DumpChunk) -> AsyncIterator[bytes]:
    """Yield a dump; the next chunk is asked for when the client has taken the last."""
    number = 0
    while not chunk.is_last:
        yield chunk.data
        number += 1
        question = questions.ReadDump(dump_id=chunk.dump_id, number=number)
        chunk = await site.node.call(question)
