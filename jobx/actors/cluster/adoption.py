"""What a node takes over of nodes that are lost: its share of their open requests and deliveries.

A lost lease ends a registration, nothing else: the node may be alive. So whatever it coordinates
moves by units with conditions, and is refused to one of the two. But nobody adopts before its own
lease has been held for a lease time: after an outage of the store all others look lost at first.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Final, NamedTuple

from jobx import model
from jobx.actors import recovery
from jobx.actors.cluster.heirs import Heirs
from jobx.actors.cluster.members import NodeRecord, records_of
from jobx.actors.log_reader import has_progressed
from jobx.actors.messages import RequestKey, Waiting
from jobx.actors.request.capabilities import missing_capability
from jobx.errors import EntryDamaged, JobxError
from jobx.kv import keys
from jobx.kv.entries import decoded
from jobx.kv.leases import Holders
from jobx.kv.prefixes import branches
from jobx.kv.requests import deliveries, kept_requests, lives
from jobx.kv.requests.lives import Life, OpenRequest
from jobx.kv.store import Store
from jobx.system.backoff import doubled

#: How often it is looked for what is left of a node that is known as lost.
LOOK_S: Final = 1.0
#: How often it is looked whether a node without a lease has left anything.
DISCOVER_S: Final = 15.0
#: Requests, and deliveries, of one lost node that are on their way here at the same time.
MOST: Final = 1000
#: First and longest wait before a request is looked at again that stayed where it was.
AGAIN_S: Final = (15.0, 240.0)
#: How long it is looked often after the last loss, or after anything new was adopted.
BUSY_S: Final = 60.0
_log = logging.getLogger(__name__)


class Inherited(NamedTuple):
    """What one look found for this node.

    Attributes:
        requests: To be continued.
        deliveries: These are its own now.
        died: Nodes that died lately, of which this one is to tell people.
    """

    requests: tuple[Waiting, ...] = ()
    deliveries: tuple[RequestKey, ...] = ()
    died: tuple[str, ...] = ()


class _View(NamedTuple):
    """Who is in the cluster: all who hold a lease, and what they show."""

    ids: frozenset[str]
    records: Mapping[str, NodeRecord]


class _Seen(NamedTuple):
    """A request that was looked at: how often, when it may be again, and whether it was adopted."""

    times: int
    again_at: float
    is_able: bool


class _Lost:
    """A lost node, as far as this one has to do with it.

    Attributes:
        since: When it was lost, or when this node last had new requests of its own share.
        seen: Its requests that were looked at, and are still there.
    """

    def __init__(self, since: float) -> None:
        self.since = since
        self.seen: dict[RequestKey, _Seen] = {}


class Adoption:
    """Finds what this node adopts. ``saw`` and ``is_lost`` do not block, ``look`` does.

    Args:
        node_id: This node.
        record: What it shows in its lease.
        store: The store.
        has_settled: Whether its own lease has been held for a lease time, and still is.
        death_limit: Deaths at which a request is set aside.
        now: Monotonic seconds.
    """

    def __init__(
        self,
        node_id: str,
        record: NodeRecord,
        store: Store,
        has_settled: Callable[[], bool],
        *,
        death_limit: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node_id = node_id
        self._record = record
        self._store = store
        self._has_settled = has_settled
        self._death_limit = death_limit
        self._now = now
        self._view: _View | None = None
        self._seen: frozenset[str] = frozenset()
        #: From ``saw`` to ``look``: members that have left.
        self._left: deque[str] = deque(maxlen=MOST)
        self._untold: set[str] = set()
        self._lost: dict[str, _Lost] = {}
        self._discover_at = 0.0
        self._busy_until = 0.0

    def saw(self, holders: Holders, prefix: str) -> bool:
        """Take note of who is in the cluster; return whether somebody has left it."""
        before, records = self._view, records_of(holders, prefix)
        ids = frozenset(records)
        self._view = _View(ids, {**records, self._node_id: self._record})
        if before is None or before.ids <= ids:
            return False
        # Who shows no nsqd is no member, but a command that has held the lease of a node.
        self._left += [name for name in before.ids - ids if before.records[name].nsqd]
        return True

    def is_lost(self, node_id: str) -> bool:
        """Whether a node has no lease, as far as this one knows."""
        return self._view is not None and node_id not in self._view.ids

    @property
    def pause_s(self) -> float:
        """How long to wait before the next look, if nobody leaves."""
        return LOOK_S if self._lost and self._now() < self._busy_until else DISCOVER_S

    def look(self) -> Inherited:
        """Return what this node adopts now; its deliveries have moved already.

        Raises:
            JobxError: The store does not answer.
        """
        view, now = self._view, self._now()
        if view is None or not self._has_settled():
            return Inherited()
        self._note_losses(view, now)
        requests: list[Waiting] = []
        moved: list[RequestKey] = []
        for node_id, lost in self._lost.items():
            try:
                life = lives.last(self._store, node_id)
                requests += self._requests(node_id, lost, life, view, now)
                moved += self._deliveries(node_id, lost, life, view, now)
            except JobxError as error:  # what was handed out is in ``requests``, or comes again
                _log.warning("what lost node %s left is not adopted yet: %s", node_id, error)
        return Inherited(tuple(requests), tuple(moved), self._died(view))

    def _note_losses(self, view: _View, now: float) -> None:
        gone = {*self._lost, *self._seen}
        self._seen = view.ids
        if now >= self._discover_at:
            self._discover_at = now + DISCOVER_S
            gone |= set(self._owners())
        lost = gone - view.ids - {self._node_id}
        if lost - {*self._lost}:
            self._busy_until = now + BUSY_S
        self._lost = {name: self._lost.get(name) or _Lost(now) for name in lost}
        for name in [name for name in lost if not lives.has_open(self._store, name)]:
            del self._lost[name]

    def _died(self, view: _View) -> tuple[str, ...]:
        """Return the nodes that died since the last look, if this survivor is to tell of them."""
        while self._left:
            self._untold.add(self._left.popleft())
        untold, self._untold = self._untold - {*view.ids, self._node_id}, set()
        heirs = (name for name, one in view.records.items() if one.is_heir)
        if self._node_id != min(heirs, default=""):
            return ()
        try:
            return tuple(n for n in sorted(untold) if not lives.last(self._store, n).is_over)
        except JobxError:
            self._untold = untold  # for the next look
            return ()

    def _owners(self) -> Iterator[str]:
        """Yield the nodes that have open requests or deliveries."""
        for prefix in (keys.OPEN, keys.UNDELIVERED):
            for branch in branches(self._store, prefix):
                yield branch.removeprefix(prefix).rstrip("/")

    def _requests(
        self, node_id: str, lost: _Lost, life: Life, view: _View, now: float
    ) -> list[Waiting]:
        """Return the next requests of a lost node that this one adopts, charged with its death."""
        due: list[OpenRequest] = []
        left: dict[RequestKey, _Seen] = {}
        on_the_way, heirs = 0, Heirs(view.records, life.capabilities or ())
        for one in lives.each_opened(self._store, node_id):
            key = RequestKey(one.workflow, one.request_id)
            seen = lost.seen.get(key)
            if seen is None or now >= seen.again_at:
                wait_s = self._waits_s(key, heirs)
                if now < lost.since + wait_s:
                    continue
                if seen is None:
                    self._busy_until = now + BUSY_S
                    # While there is new work for this node, there is for the others.
                    lost.since = lost.since if wait_s else now
                seen = _seen(seen, now, is_able=self._is_able(key, life, view))
                due += [one] if seen.is_able else []
            left[key] = seen
            on_the_way += seen.is_able
            if on_the_way == MOST:
                break
        if due:
            _log.warning("node %s is lost; adopting open requests of it: %d", node_id, len(due))
        charged = [self._charged(one, life, view) for one in due]
        lost.seen = left
        return charged

    def _charged(self, one: OpenRequest, life: Life, view: _View) -> Waiting:
        """Charge a request with the death of its node, or of who read it later to adopt it."""
        last_life, is_there = life.incarnation, False
        if reader := one.mark.reader:
            life, last_life = lives.last(self._store, reader), one.mark.life
            is_there = reader in {*view.ids, self._node_id}
        (charged,) = recovery.charge(
            [one],
            last_life,
            was_lost=life.has_lost(last_life, is_there=is_there),
            limit=self._death_limit,
            progressed=lambda one: has_progressed(self._store, one),
            is_whole=False,
        )
        return charged

    def _deliveries(
        self, node_id: str, lost: _Lost, life: Life, view: _View, now: float
    ) -> list[RequestKey]:
        """Take over the next deliveries of a lost node that are this one's share."""
        heirs = Heirs(view.records, life.capabilities or ())
        found = (RequestKey(*names) for names in deliveries.each_undelivered(self._store, node_id))
        mine = (key for key in found if now >= lost.since + self._waits_s(key, heirs))
        wanted = list(islice(mine, MOST))
        taken = deliveries.take_over(self._store, node_id, self._node_id, wanted)
        if taken:
            _log.warning("node %s is lost; taken over deliveries of it: %d", node_id, len(taken))
        return [RequestKey(*names) for names in taken]

    def _waits_s(self, key: RequestKey, heirs: Heirs) -> float:
        wait_s = heirs.waits_s(key, self._node_id)
        return math.inf if wait_s is None else wait_s

    def _is_able(self, key: RequestKey, life: Life, view: _View) -> bool:
        """Whether nodes are left that offer what the lost one did and the workflow requires."""
        survivors = [one for one in view.records.values() if one.runs(key.workflow)]
        offered = frozenset(word for one in survivors for word in one.capabilities)
        if life.capabilities is not None and offered >= {*life.capabilities}:
            return True
        accepted = kept_requests.accepted_of(self._store, *key)
        if accepted.get("may_wait"):  # somebody has to cancel it, or end it when its time is over
            return True
        try:
            entry = self._store.get(keys.plan(key.workflow, accepted.get("plan") or "-"))
            steps = decoded(model.Plan, entry).steps if entry is not None else {}
        except EntryDamaged:
            return True  # whoever reads the log says what is wrong
        missing = _missing(steps.values(), offered)
        return not (missing if life.capabilities is None else missing & {*life.capabilities})


def _seen(before: _Seen | None, now: float, *, is_able: bool) -> _Seen:
    times = before.times if before else 0
    return _Seen(times + 1, now + doubled(AGAIN_S[0], times, AGAIN_S[1]), is_able)


def _missing(steps: Iterable[model.PlanStep], offered: frozenset[str]) -> set[str]:
    """Return capabilities that steps require and nobody offers."""
    found: set[str] = set()
    for step in steps:
        while (word := missing_capability(step, offered | found)) is not None:
            found.add(word)
    return found
