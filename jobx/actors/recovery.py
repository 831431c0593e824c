"""In which order open requests are taken up at a start, and which is set aside. Pure.

A few are taken up at a time. A request that was at work at several deaths of the node is a
suspect: suspects are taken up last, and one at a time. So a death while one is at work alone
names the culprit, and the others go on. A suspect is alone until it has ended, or until it has
lasted for its probation, which doubles with each death.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from jobx import model
from jobx.actors.messages import RequestKey, Waiting
from jobx.kv.lives import Mark, OpenRequest

#: Logs that are read at the same time.
AT_ONCE: Final = 4
#: How long those that are no suspects get to show that they are none, before a suspect follows.
SETTLE_S: Final = 5.0
#: How long a suspect with the least deaths is at work alone.
PROBATION_S: Final = 60.0
MAX_PROBATION_S: Final = 86_400.0


def charge(
    found: Iterable[OpenRequest], last_life: int, *, was_lost: bool, limit: int
) -> list[Waiting]:
    """Return open requests as they wait for a new life, charged with the death of the last one.

    Args:
        found: What is open.
        last_life: Incarnation of the life before.
        was_lost: It did not end by being stopped.
        limit: Deaths at which a request is set aside, if it was alone at the last one.
    """
    found = list(found)
    at_work = [was_lost and request.mark.life == last_life for request in found]
    alone = [was and request.mark.is_alone for was, request in zip(at_work, found, strict=True)]
    charged = alone if any(alone) else at_work
    waiting = []
    for request, is_charged, was_alone in zip(found, charged, alone, strict=True):
        deaths = request.mark.deaths + is_charged
        key = RequestKey(request.workflow, request.request_id)
        waiting.append(Waiting(key, deaths, was_alone and deaths >= limit))
    return waiting


def charges(found: Iterable[OpenRequest], waiting: Iterable[Waiting]) -> list[OpenRequest]:
    """Return what is to be written before anything is taken up: the deaths that are new."""
    return [
        replace(request, mark=Mark(request.mark.life, charged.deaths))
        for request, charged in zip(found, waiting, strict=True)
        if charged.deaths != request.mark.deaths
    ]


def failure(waiting: Waiting) -> model.Failure:
    """Return why a request is ended that is set aside."""
    text = f"the node died {waiting.deaths} times while request {'/'.join(waiting.key)} ran"
    return model.Failure(kind="internal", type="NodeDied", message=text)


class Recovery:
    """The requests that wait to be taken up.

    Args:
        limit: Deaths at which a request is set aside.
    """

    def __init__(self, limit: int) -> None:
        self._suspicious = max(1, limit - 1)
        self._plain: OrderedDict[RequestKey, Waiting] = OrderedDict()
        self._suspects: deque[Waiting] = deque()
        self._reading: set[RequestKey] = set()
        self._alone: Waiting | None = None
        self._alone_until = 0.0
        self._settled_s = 0.0

    def add(self, waiting: Iterable[Waiting]) -> None:
        """Let requests wait."""
        for item in waiting:
            if item.is_set_aside or item.deaths < self._suspicious:
                self._plain[item.key] = item
            else:
                self._suspects.append(item)

    def __len__(self) -> int:
        return len(self._plain) + len(self._suspects)

    @property
    def is_watching(self) -> bool:
        """Whether a suspect is at work alone."""
        return self._alone is not None

    def hurry(self, key: RequestKey) -> None:
        """Take a request up next, since somebody asks for it; a suspect waits for its turn."""
        if key in self._plain:
            self._plain.move_to_end(key, last=False)

    def read(self, key: RequestKey) -> None:
        """Note that the log of a request was read, so that the next may be."""
        self._reading.discard(key)

    def ended(self, key: RequestKey) -> None:
        """Note that a request is not at work any more."""
        self._reading.discard(key)
        if self._alone is not None and self._alone.key == key:
            self._alone = None

    def pardon(self, now: float) -> Waiting | None:
        """Return the suspect whose probation is over, once."""
        if self._alone is None or now < self._alone_until:
            return None
        pardoned, self._alone = self._alone, None
        return pardoned

    def take(self, now: float, *, has_room: bool) -> list[Waiting]:
        """Take what is to be taken up now; the last one may be a suspect.

        Args:
            now: Monotonic seconds.
            has_room: Whether memory has room for more.
        """
        taken: list[Waiting] = []
        while self._plain and has_room and len(self._reading) < AT_ONCE:
            taken.append(self._note(self._plain.popitem(last=False)[1]))
            self._settled_s = now + SETTLE_S
        if has_room and self._suspects and self._is_settled(now):
            self._alone = self._note(self._suspects.popleft())
            doublings = min(self._alone.deaths - self._suspicious, 20)
            self._alone_until = now + min(PROBATION_S * 2.0**doublings, MAX_PROBATION_S)
            taken.append(self._alone)
        return taken

    def _is_settled(self, now: float) -> bool:
        """Whether a death from now on would be that of the next suspect."""
        is_busy = self._plain or self._reading or self._alone is not None
        return not is_busy and now >= self._settled_s

    def mark(self, waiting: Waiting, node_id: str, life: int) -> OpenRequest:
        """Return the mark of a request that is taken up, or was pardoned."""
        mark = Mark(life, waiting.deaths, waiting is self._alone)
        return OpenRequest(node_id, *waiting.key, mark)

    def _note(self, waiting: Waiting) -> Waiting:
        self._reading.add(waiting.key)
        return waiting
