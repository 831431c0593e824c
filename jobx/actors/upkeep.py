"""What a node does now and then: looks for changes, checks its files, removes what has expired."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Final

from jobx.actors import data_sweep
from jobx.actors.janitor import Janitor
from jobx.actors.lifetime import Lifetime
from jobx.actors.parts import Parts
from jobx.actors.periodic import Periodic
from jobx.actors.place_health import PlaceHealth
from jobx.actors.record_sweep import RecordSweep
from jobx.actors.shared_sweep import SharedSweep
from jobx.actors.strays import Strays
from jobx.actors.usual_times import UsualTimes
from jobx.config import Settings
from jobx.handlers.authoring.library import Library
from jobx.handlers.blobs import opening
from jobx.handlers.blobs.shared import SharedBlobs
from jobx.kv.blobs import BlobFolder
from jobx.kv.data_folder import FolderFiles
from jobx.kv.opening import is_here, sweep_lease
from jobx.kv.store import Store
from jobx.system.kernel import Heap

#: How often the store is checked for entity changes that were not announced: one that is here, …
REFRESH_S: Final = 0.5
#: … and one on servers, which a check costs more.
SERVED_REFRESH_S: Final = 1.0
#: How often the files of the data folder are checked.
PLACE_S: Final = 2.0
#: How often the shared place of blobs is asked whether it is there.
BLOBS_S: Final = 5.0
#: How often expired requests and orphaned blob folders are removed.
SWEEP_S: Final = 10.0
#: How often changes are added to the counters of requests.
COUNT_S: Final = 5.0
#: How often a store on other machines is checked for open requests that nobody coordinates.
STRAYS_S: Final = 15.0
#: How often freed memory is returned to the system, if it is much.
HEAP_S: Final = 60.0
#: How often it is kept how long invocations usually take.
USUAL_S: Final = 60.0
#: How often records of what is gone are removed.
RECORDS_S: Final = 60.0
#: How often unused plans and code are removed.
SWEEP_CODE_S: Final = 600.0
#: How often unfinished shared files are removed.
CLEAN_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Starts what is done now and then; it stops with the parts of the node.

    Attributes:
        parts: The parts of the node.
        settings: All settings.
        store: Its store.
        blobs: The folders of large values.
        library: The workflows that it knows.
        life: Its life.
        place_health: Whether the shared place of blobs is there.
        is_open: Whether it has a request open; from any thread.
        usual_times: How long invocations usually take.
        background: Where short calls run.
        sweeping: Where sweeps run.
    """

    parts: Parts
    settings: Settings
    store: Store
    blobs: BlobFolder
    library: Library
    life: Lifetime
    place_health: PlaceHealth
    is_open: Callable[[object], bool]
    usual_times: UsualTimes
    background: Executor
    sweeping: Executor

    def start(
        self,
        *,
        refreshed: Callable[[], object],
        stray: Callable[[Strays], object],
        fail: Callable[[str], object],
    ) -> Periodic:
        """Start all of it, and return what repeats it.

        Args:
            refreshed: Called after each look for changes of workflows.
            stray: Called after each look for open requests that nobody coordinates.
            fail: Called with the reason why the node cannot go on.
        """
        periodic, janitor = self.parts.periodic(), self._janitor()
        self.parts.callback(janitor.stop)
        every, files = periodic.every, self.settings.files
        refresh_s = REFRESH_S if is_here(self.settings) else SERVED_REFRESH_S
        every(refresh_s, self.background, self.library.refresh, after=refreshed)
        every(SWEEP_S, self.background, self.life.note_clock)
        every(USUAL_S, self.background, self.usual_times.write, after=self.usual_times.note)
        every(HEAP_S, self.background, Heap().give_back)
        watched = FolderFiles(self.settings.data_dir)
        every(PLACE_S, self.background, watched.look, after=lambda: _confirm(watched, fail))
        every(SWEEP_S, self.sweeping, janitor.sweep, janitor.sweep_folders)
        every(COUNT_S, self.sweeping, janitor.count)
        every(SWEEP_CODE_S, self.sweeping, janitor.sweep_code)
        now_at = self.life.clock.now_at
        records = RecordSweep(self.store, self.settings.node.id, janitor.is_chosen, now_at)
        every(RECORDS_S, self.sweeping, records.sweep)
        every(CLEAN_S, None, lambda: janitor.sweep_files(files))
        if not is_here(self.settings):
            strays = Strays(self.store, self.settings.node.id, self.is_open)
            every(STRAYS_S, self.background, strays.look, after=lambda: stray(strays))
        shared = opening.shared_blobs(self.settings.blobs)
        if shared is None:
            drop = self._drop(self.blobs, janitor)
            every(SWEEP_S, self.sweeping, drop)
        else:
            self._sweep_shared(shared, janitor, periodic)
        return periodic

    def _janitor(self) -> Janitor:
        return Janitor(
            self.store,
            self.blobs,
            self.library,
            retention_s=self.settings.requests.retention_s,
            max_requests=self.settings.retention.max_requests,
            max_bytes=self.settings.retention.max_bytes,
            now_at=self.life.clock.now_at,
            is_open=self.is_open,
            lease=sweep_lease(self.store, self.settings),
        )

    def _drop(self, blobs: BlobFolder, janitor: Janitor) -> Callable[[], int]:
        """Return what removes data of stages; a round of it may take longer than a stop."""
        chosen, stopping = janitor.is_chosen, janitor.is_stopping
        return partial(data_sweep.sweep, self.store, blobs, chosen, stopping)

    def _sweep_shared(self, shared: SharedBlobs, janitor: Janitor, periodic: Periodic) -> None:
        """Watch and sweep the shared place, and copies here, over connections of their own.

        These are closed at once when the node stops, and the others only when its work has ended.
        """
        health = self.place_health
        blobs = BlobFolder(self.settings.blob_path, shared)
        sharing = SharedSweep(
            *(self.store, shared, blobs, self.is_open, janitor.is_chosen),
            is_there=lambda: health.is_there,
        )
        threads = self.parts.threads(1, "shared-blobs", cancel_futures=True)
        looking = self.parts.threads(1, "shared-place", cancel_futures=True)
        self.parts.callback(shared.close)
        self.parts.callback(sharing.stop)
        periodic.every(BLOBS_S, looking, partial(health.look, shared), after=health.tell)
        unused_s = self.settings.blobs.cache_s
        periodic.every(SWEEP_S, threads, partial(sharing.unload, unused_s), sharing.sweep)
        periodic.every(SWEEP_S, threads, self._drop(blobs, janitor))
        now_at, age_s = self.life.clock.now_at, self.settings.files.temp_age_s
        periodic.every(CLEAN_S, threads, lambda: sharing.clean(now_at() - age_s))


def _confirm(files: FolderFiles, fail: Callable[[str], object]) -> None:
    """End the node if its files were removed: everything that it writes would be lost."""
    if files.gone is not None:
        fail(f"{files.gone} was removed or replaced while it was in use")
