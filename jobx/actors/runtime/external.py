"""Conversations of other threads with actors: ``tell``, ``ask``, ``listen``."""

from __future__ import annotations

import concurrent.futures
import queue
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from thespian.actors import ActorAddress
from thespian.system import isInternalActorSystemMessage

from jobx.actors.runtime.timers import seconds
from jobx.errors import DeadlineExceeded, InternalError

if TYPE_CHECKING:
    from jobx.actors.runtime.scheduler import Scheduler
    from jobx.actors.runtime.system import LoopSystemBase

T = TypeVar("T")


def call_and_wait(scheduler: Scheduler, call: Callable[[], T], timeout_s: float) -> T:
    """Run ``call`` on the scheduler's thread, from another thread, and return its result.

    Raises:
        DeadlineExceeded: It did not end in time; if it had not started, it never will.
        Draining: The loop has ended.
    """
    future: concurrent.futures.Future[T] = concurrent.futures.Future()

    def run() -> None:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(call())
            except Exception as error:  # noqa: BLE001 - it is raised in the thread that waits
                future.set_exception(error)

    scheduler.call_from_thread(run)
    if not concurrent.futures.wait([future], timeout_s).done:
        future.cancel()
        raise DeadlineExceeded("a call into the actor system", timeout_s)
    return future.result()


class External:
    """One conversation with actors: an address and an inbox.

    If an ``ask`` gives up, the next ``ask`` or ``listen`` returns the late answer, as everywhere in
    Thespian. Use a new ``ActorSystem.private()`` where that can happen.
    """

    def __init__(self, base: LoopSystemBase, inbox_limit: int, timeout_s: float) -> None:
        self._base = base
        self._inbox: queue.Queue[Any] = queue.Queue(inbox_limit)
        self._timeout_s = timeout_s
        self.address = base.endpoint(self._take)

    def _take(self, message: Any, sender: ActorAddress) -> None:
        try:
            self._inbox.put_nowait(message)
        except queue.Full:
            self._base.dead_letters.take(self.address, message, sender, "its inbox is full")

    def tell(self, target: ActorAddress, message: Any) -> None:
        """Send a message from this conversation, from any thread."""
        self._base.on_loop(lambda: self._base.deliver(target, message, self.address))

    def ask(
        self, target: ActorAddress, message: Any, timeout: float | timedelta | None = None
    ) -> Any:
        """Send a message and return the next message from anybody, or None after the timeout.

        Raises:
            InternalError: The caller runs on the loop, which it would block.
        """
        self._refuse_on_loop()
        self.tell(target, message)
        return self.listen(timeout)

    def listen(self, timeout: float | timedelta | None = None) -> Any:
        """Return the next message, or None after ``timeout``.

        Args:
            timeout: None means the base's ``timeout_s``: every wait ends.

        Raises:
            InternalError: The caller runs on the loop, which it would block.
        """
        self._refuse_on_loop()
        wait_s = self._timeout_s if timeout is None else seconds(timeout)
        deadline = time.monotonic() + wait_s
        while True:
            try:
                message = self._inbox.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return None
            if not isInternalActorSystemMessage(message):
                return message

    def exit_context(self) -> None:
        """End the conversation; later messages go to dead letters."""
        self._base.close_endpoint(self.address)

    def __getattr__(self, name: str) -> Any:
        """Pass everything else to the base: ``newPrimaryActor``, ``shutdown`` and so on."""
        return getattr(self._base, name)

    def _refuse_on_loop(self) -> None:
        if self._base.scheduler.is_current():
            raise InternalError("ask and listen would block the loop that has to answer them")
