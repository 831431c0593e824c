"""One soak from its first process to its last."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

from jobx.handlers.authoring.library import Library
from jobx.kv.sqlite.store import SqliteStore
from tests.chaos.soak import leftovers, plan
from tests.chaos.soak.base import BEYOND_S, REMOVAL_S, BaseSoak
from tests.chaos.soak.defining import define
from tests.chaos.soak.faults import Striker, cont
from tests.chaos.soak.history import Violation
from tests.support.authoring import WORKFLOW
from tests.support.fault.rules import Faults
from tests.support.history import keep
from tests.support.http_sink import http_sink
from tests.support.processes import descendants
from tests.support.served import Served
from tests.support.waiting import eventually

#: Asks of a round of quiet work, after which descriptors and memory are compared.
_QUIET_ASKS: Final = 300
_QUIET_JOBS: Final = ("one", "narrow", "combined", "session", "big", "keys", "posted")
_SETTLE_S: Final = 90.0
_CLOSE_S: Final = 15.0
#: How long a blob folder that has no request may stay: 60 rounds of the janitor, some of them slow.
ORPHANS_S: Final = 900.0
#: Prefixes of keys of which there is one for each node or store.
_STAYS: Final = ("lives/", "store_id", "indexed")


class Soak(BaseSoak):
    """Runs ``serve``.

    Args:
        retention_s: How long ended requests are kept.
        aged: How many ended requests the store has before.
        orphans_s: How long to wait for the end of blob folders without a request; 0: not at all.
        others: As of ``BaseSoak``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        retention_s: float,
        aged: int = 0,
        orphans_s: float = 0.0,
        **others: Any,
    ) -> None:
        super().__init__(folder, has_past=aged > 0, **others)
        self._retention_s = retention_s
        self._aged = aged
        self._orphans_s = orphans_s
        self._data_dir = folder / "data"

    def run(self, seconds: float) -> float:
        """Soak for so long, let everything end, and look at what is left; return the seconds that
        asks were made for."""
        define(self._data_dir, self._jobs)
        at_start = leftovers.keys_of(self._data_dir)
        if self._aged:
            age(self._data_dir, self._jobs[0], self._aged, self._retention_s)
        faults = Faults(self.folder / "fault")
        log = self.folder / "serve.log"
        with http_sink() as sink, log.open("a") as stderr:
            sink.answer = lambda post: self._load.receive(sink.posts, post)
            serving = Served(
                self._data_dir, self._settings(sink.url, self._retention_s) | faults.environ, stderr
            )
            serving.start()
            try:
                began = time.monotonic()
                self._strain(serving, faults, seconds, stderr)
                took_s = time.monotonic() - began
                self._calm(serving)
                self._finish(serving, faults, at_start, sink.url, stderr)
            finally:
                cont(descendants(serving.process.pid))
                if serving.process.poll() is None:
                    serving.kill_all()
                self._load.exchanges.close()
        return took_s

    def _settings(self, sink_url: str, retention_s: float) -> dict[str, str]:
        return self._environ(
            sink_url,
            JOBX_NODE_LOG_LEVEL="warning",
            JOBX_HTTP_WORKERS="2",
            JOBX_REQUESTS_RETENTION_S=f"{retention_s:g}",
        )

    def _strain(self, serving: Served, faults: Faults, seconds: float, log: IO[str]) -> None:
        stop = threading.Event()
        keeper = threading.RLock()
        striker = Striker(
            serving,
            history=self.history,
            faults=faults,
            data_dir=self._data_dir,
            keeper=keeper,
            log=log,
        )
        threads = [threading.Thread(target=striker.watch, args=(stop,))]
        for kind in (plan.PROCESS_FAULTS, plan.MACHINE_FAULTS):
            threads.append(threading.Thread(target=striker.run, args=(self._strikes(kind), stop)))
        self._ask([serving.port], seconds, stop, threads)
        faults.clear()
        faults.jump(0.0)

    def _calm(self, serving: Served) -> None:
        """Do two equal rounds of quiet work; the second leaves nothing that the first did not."""
        eventually(lambda: self._is_idle(serving), timeout_s=_SETTLE_S)
        uses: list[dict[str, leftovers.Use]] = []
        for number in range(2):
            first = plan.QUIET * (number + 1)
            jobs = tuple(name for name in _QUIET_JOBS if name in self._jobs) or self._jobs
            asks = [plan.ask(self._seed, first + n, jobs) for n in range(_QUIET_ASKS)]
            self._load.ask([serving.port], iter(asks), 1e9)
            eventually(lambda: self._is_idle(serving), timeout_s=_SETTLE_S)
            if uses:  # connections whose clients have left may be there for a moment
                eventually_or(lambda: not _grown_since(uses[0], serving), _CLOSE_S)
            uses.append(leftovers.use_of(serving))
        self.history.met += leftovers.grown(*uses)
        self.history.uses += ({name: astuple(one) for name, one in use.items()} for use in uses)

    def _finish(
        self, serving: Served, faults: Faults, at_start: set[str], url: str, stderr: IO[str]
    ) -> None:
        """Stop it, look at what is left, and let its retention end."""
        self.history.stored += self._load.stored(serving)
        self._end(serving)
        self._load.read_files()
        self.history.met += leftovers.files_of(self._data_dir, self._temporary)
        faults.jump(BEYOND_S)  # what ended while the clock was ahead is old by then, too
        brief = self._settings(url, 1.0) | faults.environ
        again = Served(self._data_dir, brief, stderr)
        again.start()
        with self._told("left request"):
            eventually(lambda: self._load.stored(again) == [], timeout_s=REMOVAL_S)
        keys_left = partial(self._keys_left, self._data_dir, at_start, *_STAYS)
        eventually_or(lambda: not keys_left(), _SETTLE_S)
        eventually_or(lambda: not leftovers.blobs_of(self._data_dir / "blobs"), self._orphans_s)
        self._end(again)
        met = self.history.met
        met += keys_left()
        if self._orphans_s:
            blobs = leftovers.blobs_of(self._data_dir / "blobs")
            met += [Violation("left blob", name) for name in blobs]
        met += leftovers.files_of(self._data_dir, self._temporary)

    def _end(self, serving: Served) -> None:
        self._stop(serving, "serve")
        left = leftovers.processes_of(self.folder)
        self.history.met += [Violation("left process", one) for one in left]


def _grown_since(before: dict[str, leftovers.Use], serving: Served) -> list[Violation]:
    return list(leftovers.grown(before, leftovers.use_of(serving)))


def eventually_or(predicate: Callable[[], bool], timeout_s: float) -> None:
    """Wait for a predicate, or as long as that; what is not true by then is told elsewhere."""
    with contextlib.suppress(AssertionError):
        eventually(predicate, timeout_s)


def age(data_dir: Path, job: str, count: int, within_s: float) -> None:
    """Give a store so many requests that ended one after the other in the last seconds."""
    with contextlib.closing(SqliteStore(data_dir / "jobx.sqlite")) as store:
        library = Library(store)
        library.refresh()
        digest, _, writes = library.plan(WORKFLOW)
        store.commit(writes)
        first_at = time.time() - within_s
        keep(store, (WORKFLOW, job), digest, count, first_at=first_at, every_s=within_s / count)
