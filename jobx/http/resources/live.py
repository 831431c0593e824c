"""What happens to a request, as server-sent events.

The id of a message is the number of the last event that was committed, so a client that lost its
stream goes on with it at any web worker of any node.
"""

from __future__ import annotations

import asyncio
import re
import time
import weakref
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final, TypeAlias

from falcon.asgi import Request, Response, SSEvent

from jobx.errors import (
    DeadlineExceeded,
    InvalidInput,
    JobxError,
    NodeLost,
    Overloaded,
    Unavailable,
    quote,
)
from jobx.http.node.client import NodePort
from jobx.http.node.polls import News, Polls, Seen
from jobx.http.writing import answer_memory, event_stream
from jobx.http.writing.event_stream import Written

#: After this long without a message comes a comment, for proxies between.
COMMENT_S: Final = 15.0
#: Pause before the node is asked again that did not answer.
AGAIN_S: Final = 1.0
#: When a refused watcher should come again.
_LATER_S: Final = 5.0
#: What a stream takes of the memory for answers.
STREAM_BYTES: Final = 64 << 10
EVENT_ID: Final = "Last-Event-ID"
ID_PATTERN: Final = r"^(0|[1-9][0-9]{0,17})$"
_ID: Final = re.compile(ID_PATTERN)

#: Faults of the way to the node, which end by themselves.
_PASSING: Final = (Unavailable, NodeLost, DeadlineExceeded)
_News: TypeAlias = News[Written]


class Streams:
    """The streams of one web worker.

    Args:
        node: The node.
        most: Streams that may be open at once.
    """

    def __init__(self, node: NodePort, most: int) -> None:
        self._polls = Polls(node, event_stream.message)
        self._most = most
        #: Those that somebody still reads; nobody has to say when that ends.
        self._open: weakref.WeakSet[Stream] = weakref.WeakSet()
        self._is_cut = False

    def open(self, seen: Seen) -> Stream:
        """Return a stream of what comes after what was seen.

        Raises:
            Overloaded: Too many are open, or the web worker is stopping.
        """
        if len(self._open) >= self._most or self._is_cut:
            raise Overloaded(f"{len(self._open)} streams of events are open", _LATER_S)
        stream = Stream(self._polls, seen)
        self._open.add(stream)
        return stream

    def cut(self) -> None:
        """End all streams now; their clients are told when to come again."""
        self._is_cut = True
        for stream in list(self._open):
            stream.cut()


class Stream:
    """The messages of one watcher, who gets the next one when he has taken the last.

    Args:
        polls: What is asked.
        seen: What the watcher has seen.
    """

    def __init__(self, polls: Polls[Written], seen: Seen) -> None:
        self._polls = polls
        self._seen = seen
        self._first: _News | None = None
        self._is_over = False
        self._cut: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def begin(self) -> bool:
        """Look for the request; return False if its end is among what was seen.

        Raises:
            InvalidInput: What was seen has not happened.
            NotFound: There is no such request.
            JobxError: Of the node.
        """
        first = await self._polls.now(self._seen)
        if first.as_of > self._seen.after:
            self._first = first
        return self._first is not None or not first.is_end

    def cut(self) -> None:
        """End the stream."""
        if not self._cut.done():
            self._cut.set_result(None)

    def __aiter__(self) -> Stream:
        """Return itself."""
        return self

    async def __anext__(self) -> SSEvent | None:
        """Return the next message; None for a comment."""
        if self._is_over:
            raise StopAsyncIteration
        news, self._first = self._first, None
        until = time.monotonic() + COMMENT_S
        while news is None:
            left_s = until - time.monotonic()
            if self._cut.done():
                return self._last(event_stream.come_again())
            if left_s <= 0:
                return None
            found = await self._poll(left_s)
            if isinstance(found, JobxError):
                if not isinstance(found, _PASSING):  # it was removed, for example
                    raise StopAsyncIteration
                await self._either((), min(AGAIN_S, left_s))
            elif found is not None and (found.as_of > self._seen.after or found.is_end):
                news = found
        self._seen = self._seen._replace(after=news.as_of)
        return self._last(news.message) if news.is_end else news.message

    def _last(self, event: SSEvent) -> SSEvent:
        self._is_over = True
        return event

    async def _poll(self, left_s: float) -> _News | JobxError | None:
        try:
            poll = self._polls.next(self._seen)
        except Overloaded as error:
            return error
        await self._either((poll,), left_s)
        return poll.result() if poll.done() and not poll.cancelled() else None

    async def _either(self, others: Iterable[asyncio.Future[Any]], left_s: float) -> None:
        """Wait for one of some futures, the end of the stream, or so long."""
        waited: list[asyncio.Future[Any]] = [*others, self._cut]
        await asyncio.wait(waited, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)


async def send(streams: Streams, req: Request, resp: Response, seen: Seen) -> None:
    """Make ``resp`` the stream of what comes after what its client has seen.

    Raises:
        InvalidInput: The client names an event that does not exist.
        Overloaded: Too many streams are open.
        JobxError: Of the node.
    """
    answer_memory.hold(req, STREAM_BYTES)
    stream = streams.open(seen)
    if not await stream.begin():
        resp.status = 204  # a client that gets this does not come again
        return
    resp.content_type = event_stream.MEDIA_EVENTS
    for name, value in event_stream.HEADERS.items():
        resp.set_header(name, value)
    if req.method != "HEAD":
        resp.sse = stream
    else:
        resp.stream = _nothing()  # so that nobody is told of a length


async def _nothing() -> AsyncIterator[bytes]:
    """Yield nothing."""
    for part in tuple[bytes]():
        yield part


def last_event(req: Request) -> int:
    """Return the number of the last event that a client has seen; -1: none.

    A client that comes again says it in a header; one that comes first may say it in the query.

    Raises:
        InvalidInput: It is no number of an event.
    """
    header = req.get_header(EVENT_ID)
    text = req.get_param("after") if header is None else header
    if text is None:
        return -1
    if not _ID.fullmatch(text):
        raise InvalidInput(_named(header), quote(text), "must be the id of a message")
    return int(text)


def refusal(req: Request, error: InvalidInput) -> InvalidInput:
    """Return the error of the node by the name that the client knows."""
    where, value, reason = error.args
    named = _named(req.get_header(EVENT_ID)) if where == "after" else where
    return InvalidInput(named, value, reason)


def _named(header: str | None) -> str:
    return "query parameter after" if header is None else f"header {EVENT_ID}"
