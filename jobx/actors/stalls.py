"""Counts, names and logs the stalls of a node's loop.

A timer of the loop says that it turns; when it is late, the loop stood still. A thread looks where
the loop is meanwhile, so the place in the code can be named.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

import jobx
from jobx.actors.runtime.log_limit import LogLimit

#: A loop whose timer is later than that stood still.
STALL_S: Final = 0.1
#: One of this length is a warning: a busy machine alone may hold a process up for less.
_LONG_S: Final = 1.0
#: How often the loop says that it turns. A stall that is longer by that is never missed.
BEAT_S: Final = 0.05
#: How often an idle one does: it would spend most of its time on this.
REST_S: Final = 0.25
#: It is idle after so many beats in a row between which it used at most so much processor time.
_RESTS_AFTER: Final = 40
_QUIET_S: Final = 0.001
#: Places that are counted apart; further ones are ``other``.
MOST_PLACES: Final = 100
#: The place of a stall in which the thread stood still as well.
PAUSED: Final = "the whole process (paused, without a processor, or held up by one of its threads)"
#: The place of a stall that ended before it was looked at.
UNSEEN: Final = "not seen"
#: The place of a stall in which the loop was in none of its calls, as far as Python tells.
LOOP: Final = "the loop itself, in none of the calls of Python"

#: So much later than a stall begins to be one it is looked for.
_LATER_S: Final = 0.005
_PACKAGE: Final = str(Path(jobx.__file__).parent)
_LOG: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class Stalled:
    """The stalls at one place; ``last_s``: the end of the last one, monotonic."""

    where: str
    count: int = 0
    longest_s: float = 0.0
    last_s: float = 0.0


class Stalls:
    """The stalls of the loop that it is created on.

    Attributes:
        count: All of them.
    """

    def __init__(self) -> None:
        self.count = 0
        self._places: dict[str, Stalled] = {}
        self._log_limit = LogLimit(time.monotonic, 10.0, 1)
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._seen: str | None = None
        #: What runs the loop: the frame below all of its calls.
        self._runner: FrameType | None = None
        self._used_s, self._quiet_beats = time.thread_time(), 0
        self._due_s = time.monotonic() + BEAT_S
        self._timer = self._loop.call_later(BEAT_S, self._beat)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stalls", daemon=True)
        self._thread.start()

    def places(self) -> list[Stalled]:
        """Return the stalls by place, the longest first."""
        return sorted(self._places.values(), key=lambda one: -one.longest_s)

    def stop(self) -> None:
        """Watch no more."""
        self._timer.cancel()
        self._stopped.set()
        self._runner = None
        self._thread.join(2 * STALL_S)

    def _beat(self) -> None:
        now = time.monotonic()
        late_s, seen = now - self._due_s, self._seen
        self._runner = sys._getframe(1)
        next_s = self._next_s(late_s)
        self._due_s, self._seen = now + next_s, None
        if late_s > STALL_S:
            self._stalled(late_s, seen or UNSEEN, now)
        self._timer = self._loop.call_later(next_s, self._beat)

    def _next_s(self, late_s: float) -> float:
        """Return the time until the next beat, which is longer while the loop is idle.

        One that stood still is not idle, though it used no processor: it may wait for a disk.
        """
        before_s, self._used_s = self._used_s, time.thread_time()
        is_quiet = self._used_s - before_s <= _QUIET_S and late_s <= STALL_S
        self._quiet_beats = self._quiet_beats + 1 if is_quiet else 0
        return BEAT_S if self._quiet_beats < _RESTS_AFTER else REST_S

    def _stalled(self, late_s: float, where: str, now: float) -> None:
        self.count += 1
        if where not in self._places and len(self._places) >= MOST_PLACES:
            where = "other"
        stalled = self._places.setdefault(where, Stalled(where))
        stalled.count += 1
        stalled.longest_s, stalled.last_s = max(stalled.longest_s, late_s), now
        level = logging.WARNING if late_s >= _LONG_S else logging.INFO
        if _LOG.isEnabledFor(level) and self._log_limit.may_log():
            more = self._log_limit.left_out
            others = f"; {more} stalls before it are not logged" if more else ""
            text = "the loop stood still for %.0f ms: %s%s"
            _LOG.log(level, text, late_s * 1000, where, others)

    def _watch(self) -> None:
        """Look where the loop is each time that its timer is too late; sleep until it may be."""
        look_s = time.monotonic() + STALL_S
        while not self._stopped.wait(max(0.0, look_s - time.monotonic())):
            now, due_s = time.monotonic(), self._due_s
            if now <= due_s + STALL_S:
                look_s = due_s + STALL_S + _LATER_S
                continue
            if self._seen is None:
                has_overslept = now > look_s + STALL_S
                self._seen = PAUSED if has_overslept else self._place()
            look_s = now + STALL_S

    def _place(self) -> str:
        frame = sys._current_frames().get(self._loop_thread)
        return LOOP if frame is self._runner else place_of(frame)


def place_of(frame: FrameType | None) -> str:
    """Return where a thread is: in which line of JobX, and what that has called."""
    inner = _told(frame) if frame is not None else UNSEEN
    while frame is not None:
        if frame.f_code.co_filename.startswith(_PACKAGE):
            ours = _told(frame)
            return ours if ours == inner else f"{ours}, in {inner}"
        frame = frame.f_back
    return inner


def _told(frame: FrameType) -> str:
    path = Path(frame.f_code.co_filename)
    is_ours = path.is_relative_to(_PACKAGE)
    name = path.relative_to(Path(_PACKAGE).parent) if is_ours else path.name
    return f"{name}:{frame.f_lineno} {frame.f_code.co_name}"
