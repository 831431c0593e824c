"""Long polls of requests, shared: watchers who have seen the same wait for one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar

from jobx.errors import JobxError, Overloaded
from jobx.http.node.client import ANSWER_S, NodePort
from jobx.questions import WatchRequest
from jobx.views import WatchView

M = TypeVar("M")

#: How long the node waits for an event before the poll is asked again.
WAIT_S: Final = 15.0
#: Polls that may be open at once.
MOST: Final = 4000


class Seen(NamedTuple):
    """What a watcher has seen: all events of a request up to a number; -1: none."""

    workflow: str
    request_id: str
    after: int


class News(NamedTuple, Generic[M]):
    """What came after that: the number of the last event, and the message that says so."""

    as_of: int
    is_end: bool
    message: M


class Polls(Generic[M]):
    """Asks the node, once for all who have seen the same; for one event loop.

    Args:
        node: The node.
        write: Returns the message of a view.
    """

    def __init__(self, node: NodePort, write: Callable[[WatchView], M]) -> None:
        self._node = node
        self._write = write
        self._open: dict[Seen, asyncio.Task[News[M] | JobxError]] = {}

    async def now(self, seen: Seen) -> News[M]:
        """Return what came until now, which may be nothing.

        Raises:
            InvalidInput: There is no such event yet.
            NotFound: There is no such request.
            JobxError: Of the node.
        """
        return await self._ask(seen, 0.0)

    def next(self, seen: Seen) -> asyncio.Task[News[M] | JobxError]:
        """Return what is to come, or the error instead. Whoever waits for it does not cancel it.

        Raises:
            Overloaded: Too much is asked already.
        """
        task = self._open.get(seen)
        if task is None:
            if len(self._open) >= MOST:
                raise Overloaded(f"{MOST} polls are open")
            task = self._open[seen] = asyncio.get_running_loop().create_task(self._poll(seen))
            task.add_done_callback(lambda _: self._open.pop(seen))
        return task

    async def _poll(self, seen: Seen) -> News[M] | JobxError:
        try:
            return await self._ask(seen, WAIT_S)
        except JobxError as error:
            return error

    async def _ask(self, seen: Seen, wait_s: float) -> News[M]:
        asked = WatchRequest(**seen._asdict(), wait_s=wait_s)
        view = await self._node.call(asked, wait_s + ANSWER_S)
        return News(view.as_of, view.is_end, self._write(view))
