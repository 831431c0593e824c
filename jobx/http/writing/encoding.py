"""What a client that has a copy, or a slow network, is spared: entity tags and compression."""

from __future__ import annotations

import asyncio
import hashlib
import re
import zlib
from collections.abc import AsyncIterator
from typing import Final, cast

from falcon.asgi import Request, Response

from jobx.http.writing.event_stream import MEDIA_EVENTS

#: Bodies below this are not compressed.
LEAST_BYTES: Final = 2048
#: Bodies above this are compressed in a thread.
_QUICK_BYTES: Final = 64 << 10
#: The quickest level; JSON shrinks to a fifth or less with it.
_LEVEL: Final = 1
_GZIP_WINDOW: Final = 31
_TAG_BYTES: Final = 16
_GZIP: Final = re.compile(r"(?:^|,)\s*(?:x-)?gzip\s*(?:;\s*q=([01](?:\.\d{0,3})?)\s*)?(?=,|$)")


def tag(req: Request, resp: Response) -> None:
    """Give a body an entity tag; a client that has it gets 304.

    The tag is weak, because a compressed body has the same one.
    """
    if resp.data is None or resp.status_code != 200:
        return
    digest = hashlib.blake2b(resp.data, digest_size=_TAG_BYTES).hexdigest()
    tag_as(req, resp, digest)


def tag_as(req: Request, resp: Response, name: str | int) -> None:
    """Give a body this entity tag, which says when it changes; see ``tag``."""
    resp.set_header("ETag", f'W/"{name}"')
    resp.set_header("Cache-Control", "no-cache")
    known = req.get_header("If-None-Match") or ""
    if f'"{name}"' in known or known.strip() == "*":
        resp.status = 304
        resp.data = None


async def compress(req: Request, resp: Response) -> None:
    """Compress a body if the client takes gzip and it is worth it."""
    body, stream = resp.data, resp.stream
    if body is None and resp.status_code == 304:  # it has the headers of what it stands for
        resp.append_header("Vary", "Accept-Encoding")
    if stream is None and (body is None or len(body) < LEAST_BYTES):
        return
    if resp.content_type == MEDIA_EVENTS:  # each is due at once
        return
    resp.append_header("Vary", "Accept-Encoding")
    if not accepts_gzip(req.get_header("Accept-Encoding") or ""):
        return
    resp.set_header("Content-Encoding", "gzip")
    if stream is not None:
        resp.stream = _compressed(cast("AsyncIterator[bytes]", stream))
    elif body is not None:
        is_quick = len(body) <= _QUICK_BYTES
        resp.data = _gzip(body) if is_quick else await asyncio.to_thread(_gzip, body)


def accepts_gzip(header: str) -> bool:
    """Return whether an Accept-Encoding header names gzip, and not with weight 0."""
    found = _GZIP.search(header.lower())
    return found is not None and (found[1] is None or float(found[1]) > 0)


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, wbits=_GZIP_WINDOW)
    return packer.compress(body) + packer.flush()


async def _compressed(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield a stream compressed, slice by slice."""
    packer = zlib.compressobj(_LEVEL, wbits=_GZIP_WINDOW)
    async for part in stream:
        packed = await asyncio.to_thread(packer.compress, part)
        if packed:
            yield packed
    yield packer.flush()
