"""What both soaks do alike, on one node and on a cluster."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.chaos.soak import leftovers, plan
from tests.chaos.soak.defining import available
from tests.chaos.soak.history import Violation
from tests.chaos.soak.load import Load
from tests.support.authoring import WORKFLOW
from tests.support.served import Served

#: An idle node that is stopped has ended within this.
_STOP_S: Final = 10.0
#: Retention ends for all that is stored at once; on a busy machine that takes minutes to remove.
REMOVAL_S: Final = 600.0
#: Farther than any jump of the clock.
BEYOND_S: Final = 2 * 86_400.0


class BaseSoak:
    """Runs something in a folder under clients and faults, and keeps what was seen.

    Args:
        folder: Everything of it is below.
        seed: Decides asks and faults.
        rate: Asks a second.
        clients: How many ask at once.
        faults: By name, with weights.
        pause_s: Mean time between two faults.
        jobs: Names of jobs; all when there are none.
        has_past: There are requests that ended before.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        rate: float,
        clients: int,
        faults: dict[str, float],
        pause_s: float,
        jobs: tuple[str, ...] = (),
        has_past: bool = False,
    ) -> None:
        self.folder = folder
        self._seed = seed
        self._weights = faults
        self._pause_s = pause_s
        self._jobs = jobs or available()
        self._temporary = folder / "temporary"
        self._temporary.mkdir(parents=True, exist_ok=True)
        self._load = Load(folder, rate=rate, clients=clients, has_past=has_past)
        self.history = self._load.history

    def run(self, seconds: float) -> float:
        """Soak for so long, let everything end, and look at what is left; return the seconds that
        asks were made for."""
        raise NotImplementedError

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder)

    def _environ(self, sink_url: str, **own: str) -> dict[str, str]:
        return {
            "TMPDIR": str(self._temporary),
            "JOBX_HTTP_MAX_WAIT_S": "30",
            "JOBX_REQUESTS_LOST_ATTEMPTS": "20",
            "JOBX_REQUESTS_NODE_DEATHS": "20",
            **own,
            **self._load.environ(sink_url),
        }

    def _strikes(
        self, kind: dict[str, float], lasts_s: Sequence[float] = plan.LASTS_S, where: str = ""
    ) -> Iterator[plan.Strike]:
        chosen = {name: self._weights[name] for name in kind if name in self._weights}
        return plan.strikes(self._seed, chosen, self._pause_s, lasts_s, where)

    def _ask(
        self,
        ports: list[int],
        seconds: float,
        stop: threading.Event,
        threads: Iterable[threading.Thread],
    ) -> None:
        """Ask for so long, while threads strike."""
        for thread in threads:
            thread.start()
        asks = (plan.ask(self._seed, n, self._jobs) for n in range(10**9))
        self._load.ask(ports, asks, seconds)
        stop.set()
        for thread in threads:
            thread.join()

    def _is_idle(self, *servers: Served) -> bool:
        with contextlib.suppress(OSError, ValueError, KeyError):
            nodes = [one.ask("GET", "/node", None, 30.0, {}).body for one in servers]
            is_idle = all(one["open_requests"] == one["queued_batches"] == 0 for one in nodes)
            return is_idle and self._load.all_delivered()
        return False

    def _keys_left(self, folder: Path, at_start: set[str], *stays: str) -> list[Violation]:
        current = leftovers.current_plan(folder, WORKFLOW)
        left = leftovers.keys_of(folder) - at_start - {current}
        return [Violation("left key", key) for key in sorted(left) if not key.startswith(stays)]

    @contextmanager
    def _told(self, kind: str) -> Iterator[None]:
        try:
            yield
        except AssertionError as error:
            self.history.met.append(Violation(kind, str(error)))

    def _stop(self, serving: Served, name: str) -> None:
        began = time.monotonic()
        code = serving.stop()
        took_s = time.monotonic() - began
        if code != 0 or took_s > _STOP_S:
            told = f"{name}, which was idle, ended with code {code} after {took_s:.1f} s"
            self.history.met.append(Violation("exit", told))
