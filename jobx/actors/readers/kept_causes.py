"""Why requests have ended, of those that were asked for last; long logs are read in parts."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from functools import partial
from typing import Final, TypeAlias, TypeVar

from msgspec.structs import replace

from jobx.actors.inspection import explain
from jobx.actors.inspection.explain import Found
from jobx.actors.inspection.log_causes import CauseFold
from jobx.actors.inspection.view_builders import request_view
from jobx.kv.requests import deliveries, event_log, request_entity
from jobx.kv.store import Store
from jobx.questions import ExplainRequest
from jobx.views import ExplainView, Reading

V = TypeVar("V")
Key: TypeAlias = tuple[str, str, float]

#: Answers that are kept …
MOST: Final = 32
#: … and logs of which a part has been read.
MOST_BEGUN: Final = 2
#: Events between two looks at the clock.
_STEP: Final = 1000


class KeptCauses:
    """Explains requests that nobody coordinates; any thread may ask, one after the other.

    Args:
        part_s: How long one question reads a log.
    """

    def __init__(self, part_s: float) -> None:
        self._part_s = part_s
        self._lock = threading.Lock()
        self._answers: OrderedDict[Key, ExplainView] = OrderedDict()
        self._begun: OrderedDict[Key, CauseFold] = OrderedDict()

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
                _keep(self._answers, key, found, MOST)
                self._begun.pop(key, None)
            return found

    def _read_on(self, store: Store, key: Key, until: float) -> Found:
        fold = self._begun.get(key) or CauseFold(partial(explain.plan_of, store, key[0]))
        _keep(self._begun, key, fold, MOST_BEGUN)
        reading = None
        for number, body in event_log.bodies(store, *key[:2], fold.as_of):
            fold.take(number, body)
            if number % _STEP == 0 and time.monotonic() > until:
                count = event_log.next_number(store, *key[:2], number + 1)
                if count > number + 1:
                    reading = Reading(events=number + 1, of=count)
                    break
        fold.flush()
        return fold.causes, reading


def _keep(kept: OrderedDict[Key, V], key: Key, value: V, most: int) -> None:
    """Keep a value as the last one; forget the first if there are too many."""
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)
