"""Whether the supervisor of this node handles messages.

The loop may run while actors do not. Such a node lets its lease end, so that others take over what
it has: it could neither end nor cancel any of it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

_LOG: Final = logging.getLogger(__name__)


class Pulse:
    """Asks the supervisor now and then. ``is_alive`` may be read by any thread.

    Args:
        probe: Asks the supervisor, on the loop; it calls what it was given once it has answered.
        patience_s: How long an answer may take.
        now: Monotonic seconds.
    """

    def __init__(
        self,
        probe: Callable[[Callable[[], None]], None],
        patience_s: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._probe = probe
        self._patience_s = patience_s
        self._now = now
        #: When the question that waits for an answer was asked; None: there is none.
        self._asked_at: float | None = None
        self._is_told = self._is_stopped = False

    def stop(self) -> None:
        """Ask no more: the node drains, and its supervisor ends before its lease."""
        self._is_stopped, self._asked_at = True, None

    def beat(self) -> None:
        """Ask, unless an answer is still awaited; on the loop."""
        if self._is_stopped:
            return
        if self._asked_at is None:
            self._asked_at = self._now()
            self._probe(self._answered)
        elif not self.is_alive and not self._is_told:
            self._is_told = True
            text = "the supervisor has not answered for %g s; the node leaves its work to others"
            _LOG.error(text, self._patience_s)

    @property
    def is_alive(self) -> bool:
        """Whether no question waits for its answer for too long."""
        asked_at = self._asked_at
        return asked_at is None or self._now() < asked_at + self._patience_s

    def _answered(self) -> None:
        if self._is_told:
            _LOG.warning("the supervisor answers again")
        self._asked_at, self._is_told = None, False
