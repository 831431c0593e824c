"""Why requests have ended, of those that were asked for last; long logs are read in parts."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from functools import partial
from typing import Final, TypeAlias

from msgspec.structs import replace

from jobx.actors.inspection import explain
from jobx.actors.inspection.explain import Found
from jobx.actors.inspection.log_causes import CauseFold
from jobx.actors.inspection.view_builders import request_view
from jobx.kv.requests import deliveries, event_log, request_entity
from jobx.kv.store import Store
from jobx.questions import ExplainRequest
from jobx.views import ExplainView, Reading

Key: TypeAlias = tuple[str, str, float]

#: Answers that are kept …
MOST: Final = 32
#: … and logs of which a part has been read. Others take their places …
MOST_BEGUN: Final = 2
#: … when they are read to their end, or nobody has asked for so long: else three whose readers take
#: turns would begin again and again.
WANTED_S: Final = 20.0
#: Events between two looks at the clock; one may be of a thousand invocations.
_STEP: Final = 50


class KeptCauses:
    """Explains requests that nobody coordinates; any thread may ask, one after the other.

    Args:
        part_s: How long one question reads a log.
    """

    def __init__(self, part_s: float) -> None:
        self._part_s = part_s
        self._lock = threading.Lock()
        self._answers: OrderedDict[Key, ExplainView] = OrderedDict()
        #: Each with the time until which its place is its own.
        self._begun: dict[Key, tuple[CauseFold, float]] = {}

    def explain(self, store: Store, asked: ExplainRequest) -> ExplainView:
        """Return why a request has ended, by as much of its log as is read in this time.

        Raises:
            NotFound: There is no such request.
            EntryDamaged: Its log is damaged.
        """
        request = request_entity.get(store, asked.workflow, asked.request_id)
        key = asked.workflow, asked.request_id, request.accepted_at
        until = time.monotonic() + self._part_s
        with self._lock:
            known = self._answers.get(key)
            if known is not None:
                self._answers.move_to_end(key)
                sent = deliveries.read(store, request)
                return replace(known, request=request_view(request, sent))
            found = explain.of_stored(
                *(store, asked.workflow, asked.request_id, asked.why_open, asked.helps),
                causes_of=lambda *_: self._read_on(store, key, until),
            )
            if request.is_done and request.state != "succeeded" and found.reading is None:
                self._keep(key, found)
                self._begun.pop(key, None)
            return found

    def _read_on(self, store: Store, key: Key, until: float) -> Found:
        if key in self._begun:
            fold, _ = self._begun.pop(key)
        else:
            fold = CauseFold(partial(explain.plan_of, store, key[0]))
        reading = None
        for number, body in event_log.bodies(store, *key[:2], fold.as_of):
            fold.take(number, body)
            if number % _STEP == 0 and time.monotonic() > until:
                count = event_log.next_number(store, *key[:2], number + 1)
                if count > number + 1:
                    reading = Reading(events=number + 1, of=count)
                    break
        fold.flush()
        self._leave_begun(key, fold, is_read=reading is None)
        return fold.causes, reading

    def _leave_begun(self, key: Key, fold: CauseFold, *, is_read: bool) -> None:
        """Keep what was read of a log, if there is room."""
        now = time.monotonic()
        if len(self._begun) == MOST_BEGUN:
            least = min(self._begun, key=lambda one: self._begun[one][1])
            if self._begun[least][1] <= now:
                del self._begun[least]
        if len(self._begun) < MOST_BEGUN:
            self._begun[key] = fold, 0.0 if is_read else now + WANTED_S

    def _keep(self, key: Key, found: ExplainView) -> None:
        """Keep an answer; forget the one that was asked for longest ago if there are too many."""
        self._answers[key] = found
        if len(self._answers) > MOST:
            self._answers.popitem(last=False)
