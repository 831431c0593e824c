"""The service clock: the wall clock without its jumps.

Promises in days (how long a result is kept, how long a request may take) must not depend on
somebody setting the clock of the machine. So the service clock advances with the time since the
boot, and follows the wall clock by at most a tenth of the elapsed time: it reaches a wall clock
that is set a day ahead in ten days, and one that is set back an hour in ten hours. It never goes
back. It continues across restarts. Only across a boot of the machine does the wall clock alone
count.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from msgspec.structs import replace

from jobx.kv.requests.lives import Life

#: Seconds by which it approaches the wall clock in a second.
RATE: Final = 0.1
#: It reads the wall clock no more often, because this costs more than everything else it does.
LOOK_S: Final = 0.1
#: It is recorded again when the record is off by more.
_TOLERANCE_S: Final = 1.0
#: Seconds since the boot of the machine, including sleep.
boot_s: Final = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Return the id of this boot of the machine."""
    return _BOOT_ID.read_text(encoding="ascii").strip()


class _Look(NamedTuple):
    """The last look at the wall clock.

    Attributes:
        at: The service clock …
        seen_s: … so many seconds after the boot.
        away_s: How far the wall clock was ahead of it.
    """

    at: float
    seen_s: float
    away_s: float

    def after(self, passed_s: float) -> float:
        """Return the service clock so many seconds later."""
        most_s = RATE * passed_s
        if -most_s <= self.away_s <= most_s:
            return self.at + passed_s + self.away_s
        return self.at + passed_s + (most_s if self.away_s > 0 else -most_s)


class ServiceClock:
    """Seconds since the epoch, for all decisions by them; from any thread.

    Args:
        last: The record of the last life of the node.
        boot: Which boot of the machine this is.
        wall_at: The wall clock.
        since_s: Seconds since the boot.
    """

    def __init__(
        self,
        last: Life,
        boot: str,
        *,
        wall_at: Callable[[], float] = time.time,
        since_s: Callable[[], float] = boot_s,
    ) -> None:
        self._boot = boot
        self._wall_at = wall_at
        self._since_s = since_s
        self._lock = threading.Lock()
        seen_s = since_s()
        if last.boot == boot and seen_s >= last.boot_s:
            at = last.at + seen_s - last.boot_s
        else:
            at = max(last.at, wall_at())
        self._last = _Look(at, seen_s, wall_at() - at)

    def now_at(self) -> float:
        """Return the time; it never goes back."""
        last = self._last
        passed_s = self._since_s() - last.seen_s
        return last.after(passed_s) if 0.0 <= passed_s < LOOK_S else self._look().at

    def _look(self) -> _Look:
        with self._lock:
            last = self._last
            seen_s = max(self._since_s(), last.seen_s)
            at = last.after(seen_s - last.seen_s)
            self._last = _Look(at, seen_s, self._wall_at() - at)
            return self._last

    def note(self, life: Life) -> Life:
        """Return a record of the clock; the same record if it is near enough."""
        at, seen_s, _ = self._look()
        expected_at = life.at + seen_s - life.boot_s
        if life.boot == self._boot and abs(at - expected_at) <= _TOLERANCE_S:
            return life
        return replace(life, boot=self._boot, boot_s=seen_s, at=at)
