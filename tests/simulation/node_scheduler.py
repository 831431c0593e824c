"""Virtual time as one of several nodes has it."""

from __future__ import annotations

from collections.abc import Callable

from jobx.actors.runtime.scheduler import Timer
from tests.support.virtual_time import VirtualScheduler


class _Timer:
    def __init__(self) -> None:
        self.inner: Timer | None = None
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True
        if self.inner is not None:
            self.inner.cancel()


class NodeScheduler:
    """Virtual time as one node has it: it may stand still, or be over.

    Attributes:
        is_dead: Nothing is done any more.
    """

    def __init__(self, inner: VirtualScheduler) -> None:
        self.is_dead = False
        self.now = inner.now
        self._inner = inner
        self._held: list[Callable[[], None]] | None = None

    def call_soon(self, call: Callable[[], None]) -> None:
        """See ``Scheduler``."""
        self._inner.call_soon(lambda: self._do(call))

    call_from_thread = call_soon

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Timer:
        """See ``Scheduler``."""
        timer = _Timer()
        timer.inner = self._inner.call_later(
            delay_s, lambda: self._do(lambda: None if timer.is_cancelled else call())
        )
        return timer

    def is_current(self) -> bool:
        """See ``Scheduler``."""
        return True

    @property
    def is_stopped(self) -> bool:
        """Whether the node stands still."""
        return self._held is not None

    def stop(self) -> None:
        """Stand still."""
        if self._held is None:
            self._held = []

    def go_on(self) -> None:
        """Do what was held up, and what follows."""
        held, self._held = self._held or [], None
        for call in held:
            self.call_soon(call)

    def _do(self, call: Callable[[], None]) -> None:
        if self.is_dead:
            return
        if self._held is None:
            call()
        else:
            self._held.append(call)
