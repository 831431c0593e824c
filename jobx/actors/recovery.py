"""The order in which open requests continue at a start, and which is set aside. Pure.

The death of a node may come from outside, and then no request is to blame. So a death counts for a
request only if the request ran without progress in that life: its log has no event that shows
progress. A request with two such deaths in a row is a suspect, and is tried:

- It waits first, longer after each death. If the node dies meanwhile, and no running request
  accounts for it, the death came from outside: this acquits all waiting suspects.
- Then it runs without any other suspect, until it makes progress, has ended, or has lasted for its
  probation, which also doubles with each death. Progress acquits it.

A request is set aside only if the node dies in such a trial, after enough deaths.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from msgspec.structs import replace

from jobx import model
from jobx.actors.messages import RequestKey, Waiting
from jobx.kv.requests.lives import Mark, OpenRequest
from jobx.system.backoff import doubled

#: Logs that are read at the same time.
AT_ONCE: Final = 4
#: Deaths in a row that make a suspect; fewer if the limit is lower.
SUSPICIOUS: Final = 2
#: How long a suspect with the fewest and with many deaths waits after a start. It keeps deaths far
#: enough from each other for who restarts the node, too.
HOLD_S: Final = (12.0, 60.0)
#: How long other requests run, at least, before a suspect follows.
SETTLE_S: Final = 2.0
#: How long a suspect with the fewest deaths runs alone.
PROBATION_S: Final = 20.0
MAX_PROBATION_S: Final = 86_400.0

#: Events without progress.
_NO_PROGRESS: Final = frozenset({"accepted", "adopted", "retried"})


def shows_progress(events: Iterable[str]) -> bool:
    """Return whether events of these names show progress."""
    return any(event not in _NO_PROGRESS for event in events)


def suspicious(limit: int) -> int:
    """Return the number of deaths that make a suspect, for a limit of deaths."""
    return min(SUSPICIOUS, limit - 1)


def charge(
    found: Iterable[OpenRequest],
    last_life: int,
    *,
    was_lost: bool,
    limit: int,
    progressed: Callable[[OpenRequest], bool],
    is_whole: bool = True,
) -> list[Waiting]:
    """Return the open requests for a new life, with the death of the last life counted.

    Args:
        found: The open requests.
        last_life: Incarnation of the previous life.
        was_lost: The previous life was not stopped, but died.
        limit: Deaths at which a request is set aside, if it was alone at the last one.
        progressed: Whether a request made progress in the life in which it was marked.
        is_whole: These are all that were open; else what is not seen may account for the death.
    """
    found = list(found)
    stuck = [
        one.mark.life == last_life and (was_lost or one.mark.deaths > 0) and not progressed(one)
        for one in found
    ]
    is_nobody = is_whole and was_lost and not any(stuck)
    waiting = []
    for one, is_stuck in zip(found, stuck, strict=True):
        mark, has_waited = one.mark, one.mark.life != last_life
        is_counted = was_lost and is_stuck
        is_set_aside = _is_verdict(mark) or (
            is_counted and mark.is_alone and mark.deaths + 1 >= limit
        )
        is_acquitted = not is_stuck and (is_nobody or not has_waited)
        deaths = 0 if is_acquitted and not is_set_aside else mark.deaths + is_counted
        key = RequestKey(one.workflow, one.request_id)
        waiting.append(Waiting(key, deaths, is_set_aside, mark.turn, one.node_id))
    return waiting


def _is_verdict(mark: Mark) -> bool:
    """Whether a request was set aside before, and has not ended since."""
    return mark.life == 0 and mark.is_alone


def charges(found: Iterable[OpenRequest], waiting: Iterable[Waiting]) -> list[OpenRequest]:
    """Return the new counts, which must be written before any request continues."""
    return [
        replace(one, mark=Mark(0, charged.deaths, charged.is_set_aside, turn=charged.turn))
        for one, charged in zip(found, waiting, strict=True)
        if charged.deaths != one.mark.deaths
    ]


def failure(waiting: Waiting) -> model.Failure:
    """Return the failure of a request that is set aside."""
    text = f"the node died {waiting.deaths} times in a row while request {'/'.join(waiting.key)}"
    return model.Failure(kind="internal", type="NodeDied", message=f"{text} ran and got nowhere")


class Recovery:
    """The requests that wait for their continuation.

    Args:
        limit: Deaths at which a request is set aside.
    """

    def __init__(self, limit: int) -> None:
        self._suspicious = suspicious(limit)
        self._plain: OrderedDict[RequestKey, Waiting] = OrderedDict()
        self._suspects: list[Waiting] = []  # the last one is next
        self._reading: set[RequestKey] = set()
        #: Running suspects without progress, in the order in which they continued.
        self._unproven: dict[RequestKey, Waiting] = {}
        self._tried: RequestKey | None = None
        self._tried_until = 0.0
        self._turns = 0
        self._began_s: float | None = None
        self._settled_s = 0.0

    def add(self, waiting: Iterable[Waiting]) -> None:
        """Add waiting requests; suspects with few deaths and a late turn come first."""
        for item in waiting:
            if item.is_set_aside or item.deaths < self._suspicious:
                self._plain[item.key] = item
            else:
                self._suspects.append(item)
                self._began_s = None  # a death has just been, here or on another node
        self._suspects.sort(key=lambda item: (-item.deaths, item.turn))

    def __len__(self) -> int:
        return len(self._plain) + len(self._suspects)

    @property
    def is_watching(self) -> bool:
        """Whether a suspect is tried."""
        return self._tried is not None

    def hurry(self, key: RequestKey) -> None:
        """Continue a request next, because somebody asks for it; a suspect waits for its turn."""
        if key in self._plain:
            self._plain.move_to_end(key, last=False)

    def read(self, key: RequestKey) -> None:
        """Record that the log of a request was read, so that the next one may follow."""
        self._reading.discard(key)

    def acquit(self, key: RequestKey) -> None:
        """Note that a request got further, or is not at work any more."""
        self._reading.discard(key)
        self._unproven.pop(key, None)
        if key == self._tried:
            self._tried = None

    def pardon(self, now: float) -> Waiting | None:
        """Return the suspect whose probation is over, once."""
        if self._tried is None or now < self._tried_until:
            return None
        pardoned, self._tried = self._tried, None
        return self._unproven[pardoned]

    def take(self, now: float, *, has_room: bool) -> list[Waiting]:
        """Take what is to be taken up now; the last one may be a suspect.

        Args:
            now: Monotonic seconds.
            has_room: Whether memory has room for more.
        """
        self._began_s = now if self._began_s is None else self._began_s
        taken: list[Waiting] = []
        while self._plain and has_room and len(self._reading) < AT_ONCE:
            taken.append(self._plain.popitem(last=False)[1])
            self._reading.add(taken[-1].key)
            self._settled_s = now + SETTLE_S
        if self._suspects and has_room and self._may_try(self._suspects[-1], now):
            taken.append(self._try(self._suspects.pop(), now))
        return taken

    def _may_try(self, suspect: Waiting, now: float) -> bool:
        """Whether a death from now on would be told from those before."""
        is_busy = self._plain or self._reading or self._tried is not None
        hold_s = doubled(HOLD_S[0], suspect.deaths - self._suspicious, HOLD_S[1])
        return not is_busy and now >= max(self._settled_s, (self._began_s or 0.0) + hold_s)

    def _try(self, suspect: Waiting, now: float) -> Waiting:
        suspect = replace(suspect, turn=self._turns)
        self._turns += 1
        self._tried = suspect.key
        doublings = suspect.deaths - self._suspicious
        self._tried_until = now + doubled(PROBATION_S, doublings, MAX_PROBATION_S)
        self._unproven[suspect.key] = suspect
        self._reading.add(suspect.key)
        return suspect

    def why(self, key: RequestKey, *, has_room: bool) -> str:
        """Return in words why a request waits for its continuation; empty: it does not."""
        if key in self._plain:
            before = list(self._plain).index(key)
            room = "" if has_room else "; nothing continues before others leave memory for it"
            return f"it waits for its continuation, after {before} others{room}"
        for number, one in enumerate(reversed(self._suspects)):
            if one.key == key:
                after = f", after {number} others" if number else ""
                deaths = f"the node died {one.deaths} times in a row while it ran"
                return f"it is set aside for now: {deaths}; it is tried alone later{after}"
        return ""

    def mark(self, waiting: Waiting, node_id: str, life: int) -> OpenRequest:
        """Return the mark of a request that is taken up, or was pardoned."""
        is_alone = waiting.key == self._tried and len(self._unproven) == 1
        mark = Mark(life, waiting.deaths, is_alone, turn=waiting.turn)
        if waiting.is_set_aside:
            mark = Mark(0, waiting.deaths, is_alone=True)
        return OpenRequest(node_id, *waiting.key, mark)
