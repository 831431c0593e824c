"""Blocking calls outside the loop, in threads that never hold up the end of the process."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeAlias, TypeVar

from jobx.errors import DeadlineExceeded, InternalError, Overloaded

#: Calls of one kind that may be over their time before further ones are refused.
MAX_OVERDUE: Final = 4

T = TypeVar("T")
#: Hears what a call returned, or what it raised.
Then: TypeAlias = Callable[[T | None, BaseException | None], object]
_Asked: TypeAlias = tuple[Callable[[], Any], Then[Any]]

_log = logging.getLogger(__name__)


class BoundedCalls:
    """Calls that others may let hang, each with a deadline; for one event loop.

    A thread cannot be killed: a call that is over its time is left alone, and counts as overdue
    until it ends. While ``MAX_OVERDUE`` of a kind are, further ones of it are refused.
    """

    def __init__(self) -> None:
        self._overdue: Counter[str] = Counter()

    async def run(self, kind: str, call: Callable[[], T], limit_s: float) -> T:
        """Return what ``call`` returns, or raise what it raises.

        Raises:
            DeadlineExceeded: It took longer than ``limit_s``; it goes on, and nobody hears of it.
            Overloaded: Too many calls of this kind are overdue; it was not made.
        """
        if self._overdue[kind] >= MAX_OVERDUE:
            text = f"{MAX_OVERDUE} calls of {kind} are over their time and have not ended"
            raise Overloaded(text, limit_s)
        future = _start(kind, call)
        try:
            await asyncio.wait([future], timeout=limit_s)
        finally:
            if not future.done():
                self._leave(kind, future)
        if future.done():
            return future.result()
        count = self._overdue[kind]
        text = "%s has not ended within %g s; %d such calls hang, %d may before more are refused"
        _log.warning(text, kind, limit_s, count, MAX_OVERDUE)
        raise DeadlineExceeded(kind, limit_s)

    def _leave(self, kind: str, call: asyncio.Future[T]) -> None:
        """Let a call go on that nobody waits for any more."""

        def ended(call: asyncio.Future[T]) -> None:
            self._overdue[kind] -= 1
            call.exception()  # else it would be logged that nobody heard of it

        self._overdue[kind] += 1
        call.add_done_callback(ended)


async def in_daemon(name: str, call: Callable[[], T]) -> T:
    """Return what ``call`` returns, or raise what it raises; it runs in a thread of its own.

    For calls that are bounded by themselves, but not in a moment: a thread pool would be waited
    for at exit.
    """
    return await _start(name, call)


class SerialThread:
    """One thread that makes calls one after the other; what they return comes back on the loop.

    It takes a third of the time of an executor's one thread, whose futures lock and notify.
    """

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # No longer than there are callers, who each wait for one call.
        self._calls: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, call: Callable[[], T], then: Then[T]) -> None:
        """Have ``call`` made; ``then`` hears of it, unless the loop has been closed meanwhile."""
        self._calls.put((call, then))

    def close(self) -> None:
        """End when all calls were made."""
        self._calls.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (asked := self._calls.get()) is not None:
            call, then = asked
            result, failed = None, None
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - handed to who asked
                failed = error
            with suppress(RuntimeError):  # the loop is closed: nobody hears of it any more
                self._loop.call_soon_threadsafe(then, result, failed)
            del asked, call, then, result, failed  # not kept until the next one


def _start(name: str, call: Callable[[], T]) -> asyncio.Future[T]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # T may be None

    def run() -> None:
        result, failed = None, None
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - handed to who awaits
            failed = _carried(name, error)
        with suppress(RuntimeError):  # the loop is closed: nobody awaits any more
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


def _carried(name: str, error: BaseException) -> Exception:
    """Return what a future takes, and a loop survives, in place of ``sys.exit`` and the like."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    carried = InternalError(f"{name} raised {type(error).__name__}: {error}")
    carried.__cause__ = error
    return carried
