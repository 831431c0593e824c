"""The columns of the requests that were asked for last: folds that go on, and files of views."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

from jobx import model
from jobx.actors.inspection.folding import glance, view_file
from jobx.actors.inspection.folding.fold import Fold
from jobx.actors.inspection.folding.view_columns import Columns
from jobx.actors.inspection.folding.view_file import ViewFile
from jobx.actors.inspection.view_builders import request_view
from jobx.actors.request.events import LONG
from jobx.errors import BlobDamaged, JobxError, Unavailable
from jobx.kv.blobs import BlobFolder
from jobx.kv.requests import event_log, request_entity
from jobx.kv.store import Store
from jobx.questions import OfRequest
from jobx.views import Reading, RequestView

V = TypeVar("V")
#: Makes a view of a request's columns.
Make = Callable[[Columns, RequestView], V]
Key = tuple[str, str, float]

#: Questions that a reader answers at once.
AT_ONCE: Final = 2
#: Requests that are kept, and bytes of them.
MOST: Final = 32
MOST_BYTES: Final = 256 << 20
#: A log that is read in parts keeps its place until nobody has asked for so long. Else two that do
#: not fit together would each make the other begin anew, for ever.
WANTED_S: Final = 20.0
#: How long one question folds a log: for a view of what was read until then …
PART_S: Final = 0.6
#: … and before a caller who wants all of it is told to come again.
SLICE_S: Final = 6.0
#: Events between two looks at the clock; one may be of a thousand invocations.
_STEP: Final = 50

_log = logging.getLogger(__name__)


class _Entry:
    """One request: its columns, for one thread at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.columns: Fold | ViewFile | None = None
        #: The last event, and until when the place is its own, monotonic.
        self.as_of = -1
        self.wanted_until = 0.0

    def asked(self, columns: Columns, now: float) -> None:
        """Note how far the log is read; its reader comes again for the rest."""
        self.as_of = columns.as_of
        self.wanted_until = now + WANTED_S if columns.reading is not None else 0.0

    @property
    def size_bytes(self) -> int:
        """About how much memory the columns take."""
        columns = self.columns  # whoever has the lock may leave them now
        return columns.size_bytes if columns is not None else 0

    def leave(self) -> None:
        """Forget the columns."""
        if isinstance(self.columns, ViewFile):
            self.columns.close()
        self.columns = None


class Folds:
    """Keeps the columns of requests; any thread may ask.

    Args:
        blobs: The folders of requests, for files of views; None: none are written.
        slice_s: How long one question folds that wants all of a log.
        part_s: How long others do.

    Attributes:
        part_s: As given.
    """

    def __init__(
        self, blobs: BlobFolder | None = None, slice_s: float = SLICE_S, part_s: float = PART_S
    ) -> None:
        self._blobs = blobs
        self._slice_s = slice_s
        self.part_s = part_s
        self._lock = threading.Lock()
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()

    def view(
        self, store: Store, asked: OfRequest[Any], make: Make[V], *, is_whole: bool = False
    ) -> V:
        """Return a view of a request, of as many new events of its log as are read in this time.

        Args:
            store: Where it is.
            asked: The question.
            make: Makes the view of its columns, which say how far its log was read.
            is_whole: The view is to be of the whole log.

        Raises:
            NotFound: There is no such request.
            EntryDamaged: Its log is damaged.
            Unavailable: It has too many new events to be all read in this time; come again.
        """
        request = request_entity.get(store, asked.workflow, asked.request_id)
        key = asked.workflow, asked.request_id, request.accepted_at
        # What another question has folded meanwhile counts, else a hundred of them wait in a row.
        until = time.monotonic() + (self._slice_s if is_whole else self.part_s)
        if is_whole:
            make = partial(_of_whole, make)
        entry = self._entry(key)
        with entry.lock:
            try:
                found = self._made(store, key, request, entry, make, until=until)
            except BlobDamaged as error:
                _log.warning("the views of request %s/%s are made again: %s", *key[:2], error)
                entry.leave()
                self._remove(key)
                found = self._made(store, key, request, entry, make, until=until)
            if self._entries.get(key) is not entry:  # another question has made room
                entry.leave()
        self._make_room(key)
        return found

    def _made(
        self,
        store: Store,
        key: Key,
        request: model.Request,
        entry: _Entry,
        make: Make[V],
        *,
        until: float,
    ) -> V:
        columns = self._columns(store, key, request, entry, until)
        entry.asked(columns, time.monotonic())
        if columns.is_done and not request.is_done:  # it ended meanwhile
            request = request_entity.get(store, *key[:2])
        return make(columns, request_view(request, []))

    def _columns(
        self, store: Store, key: Key, request: model.Request, entry: _Entry, until: float
    ) -> Columns:
        if entry.columns is None and request.is_done and self._blobs is not None:
            with suppress(FileNotFoundError):
                entry.columns = ViewFile(self._blobs.path(*key[:2]), key)
        if entry.columns is None:
            entry.columns = Fold(lambda digest: _combiners(store, key[0], digest))
        fold = entry.columns
        if isinstance(fold, Fold) and not fold.is_done:
            self._go_on(store, key, fold, until)
        return fold

    def _go_on(self, store: Store, key: Key, fold: Fold, until: float) -> None:
        """Take new events until some time; the columns say how far that is."""
        fold.reading = None
        for number, body in event_log.bodies(store, *key[:2], fold.as_of):
            fold.take(number, glance.at(body))
            if number % _STEP == 0 and time.monotonic() > until:
                count = event_log.next_number(store, *key[:2], number + 1)
                if count > number + 1:
                    fold.reading = Reading(events=number + 1, of=count)
                    return
        if fold.is_done and fold.as_of > LONG:
            self._keep(key, fold)

    def _keep(self, key: Key, fold: Fold) -> None:
        """Write the columns of a request that has ended."""
        if self._blobs is None:
            return
        try:
            view_file.write(fold, self._blobs.create(*key[:2]), key)
        except (OSError, JobxError) as error:
            _log.warning("the views of request %s/%s are not kept: %s", *key[:2], error)

    def _remove(self, key: Key) -> None:
        if self._blobs is not None:
            with suppress(OSError):
                (self._blobs.path(*key[:2]) / view_file.NAME).unlink()

    def _entry(self, key: Key) -> _Entry:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = _Entry()
            self._entries.move_to_end(key)
            return entry

    def _make_room(self, key: Key) -> None:
        """Forget requests if there are too many."""
        with self._lock:
            size_bytes = sum(entry.size_bytes for entry in self._entries.values())
            for other in self._leaving(key):
                if len(self._entries) <= MOST and size_bytes <= MOST_BYTES:
                    return
                entry = self._entries[other]
                if entry.lock.acquire(blocking=False):
                    size_bytes -= entry.size_bytes
                    del self._entries[other]
                    entry.leave()
                    entry.lock.release()

    def _leaving(self, key: Key) -> list[Key]:
        """Return the requests that are forgotten, in this order; ``key`` was asked for just now.

        First those that were asked for longest ago. Then, of logs that are read in parts, those of
        which least is read: so the one that is farthest is read to its end.
        """
        now, entries = time.monotonic(), self._entries
        begun = [one for one in entries if entries[one].wanted_until > now]
        others = [one for one in entries if one not in begun and one != key]
        return [*others, *sorted(begun, key=lambda one: (entries[one].as_of, one != key))[:-1]]


def _of_whole(make: Make[V], columns: Columns, request: RequestView) -> V:
    if columns.reading is not None:
        read, count = columns.reading.events, columns.reading.of
        raise Unavailable(f"{read:,} of {count:,} events are read; all were asked for", 1.0)
    return make(columns, request)


def _combiners(store: Store, workflow: str, digest: str) -> Collection[str]:
    """Return the steps of a plan that have a combiner; none if only a newer JobX knows its form."""
    plan = request_entity.plan(store, workflow, digest)
    steps = plan.steps.items() if plan is not None else ()
    return frozenset(name for name, step in steps if step.combiner is not None)
