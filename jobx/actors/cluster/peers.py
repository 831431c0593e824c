"""The other nodes of the cluster, as this node works with them: on its loop only."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Final, NamedTuple

from jobx.actors.bridge.bridge import Bridge
from jobx.actors.bridge.codec import Note, Offer, Wants
from jobx.actors.bridge.transport import Lane, Transport
from jobx.actors.cluster import lending
from jobx.actors.cluster.known_nodes import KnownNodes
from jobx.actors.cluster.lending import NodeLoad
from jobx.actors.cluster.lent_pool import Pool
from jobx.actors.cluster.members import Member, NodeRecord
from jobx.actors.cluster.recent_work import RecentWork
from jobx.actors.cluster.silence import Silence
from jobx.actors.cluster.silent_peers import SilentPeers
from jobx.actors.executors.rebalancing import Away, may_leave
from jobx.actors.messages import Run
from jobx.actors.runtime.placement import Creation
from jobx.actors.runtime.scheduler import Scheduler, Timer

#: How often it is looked whether executors became idle or busy.
LOOK_S: Final = 0.05
#: A peer whose link broke is offered nothing for so long, in case that its work breaks it again.
REST_S: Final = 1.0
#: Workflows that are left in one turn of the loop.
LEAVES: Final = 16

_LOG: Final = logging.getLogger(__name__)


class PeerState(NamedTuple):
    """How a peer is.

    Attributes:
        is_member: It is registered.
        is_up: It answers, as far as is known.
        heard_at: When it answered last, or this node began to wait for it; monotonic.
        undelivered: Packets that it has not acknowledged.
        is_reached: The server of its queues is connected.
    """

    is_member: bool
    is_up: bool
    heard_at: float
    undelivered: int
    is_reached: bool


class Peers:
    """Connects this node with the others, lends them executors and borrows theirs.

    Args:
        node_id: This node.
        capabilities: What it offers.
        pool: Its executors.
        transport: Carries datagrams.
        scheduler: The loop.
        more_room: Called with a workflow that may use more executors of other nodes than before.

    Attributes:
        bridge: Set once it exists; nothing may be called before.
    """

    bridge: Bridge

    def __init__(
        self,
        node_id: str,
        capabilities: Iterable[str],
        pool: Pool,
        transport: Transport,
        scheduler: Scheduler,
        *,
        more_room: Callable[[str], None],
    ) -> None:
        self._capabilities = frozenset(capabilities)
        self._pool = pool
        self._transport = transport
        self._scheduler = scheduler
        self._more_room = more_room
        self._known = KnownNodes(node_id)
        self._workflows: set[str] = set()
        #: Workflows that are left next, unless they are served again.
        self._to_leave: list[str] = []
        self._leaving: Timer | None = None
        self._rests_until: dict[Lane, float] = {}
        self._recent = RecentWork()
        self._up: dict[Lane, None] = {}
        #: On how many lanes a peer answers.
        self._answering: Counter[str] = Counter()
        self._wanting: dict[Lane, None] = {}
        self._offered: dict[Lane, int] = {}
        self._told: dict[Lane, tuple[bool, int]] = {}
        self._timer: Timer | None = None
        self._unmet = Silence()
        self._silent = SilentPeers(scheduler, self._find_silent)
        self._is_closed = False

    def saw(self, members: dict[str, Member]) -> None:
        """Take up who is in the cluster now."""
        for loss in self._known.losses(members):
            self.bridge.lose(loss.node_id, loss.registration, "its registration ended")
        self._known = self._known.after(members, self._scheduler.now())
        known = self._known.ids
        self.bridge.keep(known)
        self._rests_until = {
            lane: until for lane, until in self._rests_until.items() if lane.peer in known
        }
        records = {name: member.record for name, member in members.items()}
        earlier = [name for name, record in records.items() if not record.has_ephemeral_queues]
        self._transport.reach({name: record.nsqd for name, record in records.items()}, earlier)
        self._connect()

    def serve(self, workflows: Iterable[str]) -> None:
        """Work with others on these workflows, and on no others once no work of theirs is left."""
        served = set(workflows)
        for workflow in served - self._workflows:
            self._workflows.add(workflow)
            self.bridge.open(workflow)
        self._to_leave = sorted(self._workflows - served)
        if self._leaving is None:
            self._leave_some()
        self._connect()

    def _leave_some(self) -> None:
        """Leave the next workflows without work, and others in further turns of the loop."""
        self._leaving = None
        some, self._to_leave = self._to_leave[:LEAVES], self._to_leave[LEAVES:]
        for workflow in filter(self.bridge.leave, some):
            self._workflows.discard(workflow)
            self._forget(workflow)
        if self._to_leave and not self._is_closed:
            self._leaving = self._scheduler.call_later(0.0, self._leave_some)

    def _forget(self, workflow: str) -> None:
        self._recent.forget(workflow)
        for lane in [lane for lane in self._rests_until if lane.workflow == workflow]:
            del self._rests_until[lane]

    def others(self, workflow: str, gone_s: float) -> list[frozenset[str]] | None:
        """Return what each other node offers that runs a workflow; see ``Services.others``."""
        return self._known.offers(workflow, self._scheduler.now(), gone_s)

    def state(self, lane: Lane) -> PeerState:
        """Return how a peer is that has work of this node."""
        link = self.bridge.state(lane)
        is_member = self._known.is_member(lane.peer)
        if link is None:
            return PeerState(is_member, False, self._scheduler.now(), 0, True)
        is_reached = self._transport.is_reached(lane.peer)
        return PeerState(is_member, link.is_up, link.heard_at, link.undelivered, is_reached)

    @property
    def has_any(self) -> bool:
        """Whether a peer with executors answers."""
        return any(self._known.record(peer).slots for peer in self._answering)

    def _connect(self) -> None:
        for name, record in self._known.others.items():
            for workflow in filter(record.runs, self._workflows):
                self.bridge.connect(Lane(name, workflow))
        self._silent.look()

    def _find_silent(self) -> dict[str, NodeRecord]:
        """Return the registered nodes that do not answer on any lane, though they share some."""
        return {
            name: record
            for name, record in self._known.others.items()
            if name not in self._answering and any(map(record.runs, self._workflows))
        }

    def close(self) -> None:
        """Lend and borrow nothing more."""
        self._is_closed = True
        self._offered.clear()
        self._pool.borrow(0, list)
        self._silent.close()
        for timer in (self._timer, self._leaving):
            if timer is not None:
                timer.cancel()

    def choose(self, creation: Creation) -> Lane | None:
        """Return where the actor of a batch is created; None: here."""
        run = creation.arguments[0] if creation.arguments else None
        if not isinstance(run, Run) or self._is_closed:
            return None
        workflow = run.key.workflow
        self._recent.note(workflow, self._scheduler.now())
        is_foreign = not self._capabilities.issuperset(run.requires)
        if is_foreign:
            self._recent.note_foreign(workflow, run.requires, self._scheduler.now())
            self._look_soon()
        if not self._up or not (is_foreign or may_leave(run.work)):
            return None
        load = NodeLoad(0, 0) if is_foreign else self._load()
        if not is_foreign and self._pool.is_long(run):
            load = self._for_long(load)
        if load.own + 1 >= load.usable:  # with this one
            self._look_soon()
        offered = {
            lane: count
            for lane, count in self._offered.items()
            if lane.workflow == workflow and self._takes(lane, run.requires)
        }
        used = Counter({lane: self.bridge.children(lane) for lane in offered})
        return lending.choose(load, offered, used)

    def _takes(self, lane: Lane, requires: Iterable[str]) -> bool:
        """Whether a peer offers what work requires, and can be sent some."""
        return self.bridge.has_room(lane) and self._offers(lane).issuperset(requires)

    def _offers(self, lane: Lane) -> frozenset[str]:
        return frozenset(self._known.record(lane.peer).capabilities)

    def heard(self, lane: Lane, note: Note) -> None:
        """Take what a peer tells."""
        if isinstance(note, Wants):
            if note.is_wanted:
                self._wanting.setdefault(lane)
            else:
                self._wanting.pop(lane, None)
            self._look_soon()
        elif isinstance(note, Offer):
            count = max(0, min(note.count, self._known.record(lane.peer).slots))
            has_more = count > self._offered.get(lane, 0)
            self._offer(lane, count)
            if has_more and not self._is_closed:
                self._more_room(lane.workflow)

    def changed(self, lane: Lane) -> None:
        """Begin anew with a peer whose link is up, or broke."""
        self._wanting.pop(lane, None)
        self._told.pop(lane, None)
        self._offer(lane, 0)
        was_heard = lane.peer in self._answering
        self._is_up(lane, is_up=self.bridge.is_up(lane))
        if lane in self._up:
            self._look_soon()
        else:
            self._rests_until[lane] = self._scheduler.now() + REST_S
        if was_heard != (lane.peer in self._answering):
            self._silent.look()

    def _is_up(self, lane: Lane, *, is_up: bool) -> None:
        """Note whether a peer answers on a lane."""
        if is_up == (lane in self._up):
            return
        if is_up:
            self._up[lane] = None
            self._answering[lane.peer] += 1
            return
        del self._up[lane]
        self._answering[lane.peer] -= 1
        if not self._answering[lane.peer]:
            del self._answering[lane.peer]

    def _offer(self, lane: Lane, count: int) -> None:
        self._offered[lane] = count
        self.bridge.await_peer(lane, is_awaited=count > 0)
        if not count:
            del self._offered[lane]
        if not self._is_closed:
            self._pool.borrow(sum(self._offered.values()), self._idle)

    def _idle(self) -> list[Away]:
        """Return the offered executors that have no batch."""
        free = {lane: count - self.bridge.children(lane) for lane, count in self._offered.items()}
        return [
            Away(lane.workflow, self._offers(lane), count)
            for lane, count in free.items()
            if count > 0 and self.bridge.has_room(lane)
        ]

    def _look_soon(self) -> None:
        if self._timer is None and not self._is_closed:
            self._timer = self._scheduler.call_later(0.0, self._look)

    def _look(self) -> None:
        """Tell peers what changed of what this node wants and offers."""
        self._timer = None
        foreign = self._pool.foreign()
        if self._is_closed or not (self._up or foreign):
            return
        load = self._load()._replace(is_divisible=self._pool.is_divisible)
        now = self._scheduler.now()
        self._name_unmet(foreign, now)
        needed = self._recent.foreign(now).union(foreign)
        used = self.bridge.families.borrowed()
        for_long = self._for_long(load)
        wants = lending.wants(for_long, used.total())
        rested = [lane for lane in self._wanting if now >= self._rests_until.get(lane, now)]
        offers = lending.offers(load, rested)
        active = self._active(now) if wants else frozenset()
        news = dict.fromkeys((*self._told, *offers, *used))
        for lane in self._to_tell(news, active.union(workflow for workflow, _ in needed)):
            is_wanted = wants and (lane in used or lane.workflow in active)
            is_wanted = is_wanted or self._is_needed(lane, needed)
            self._tell(lane, offers.get(lane, 0), is_wanted=is_wanted)
        if (
            not load.slots and self.bridge.families.hosted
        ):  # no peer sends it back, after this offer of none
            self._pool.give_back()
        has_no_room = load.own and load.own >= for_long.slots
        is_busy = has_no_room or needed or self.bridge.families.hosted
        if is_busy or self._wanting or used:
            self._timer = self._scheduler.call_later(LOOK_S, self._look)

    def _active(self, now: float) -> frozenset[str]:
        """Return the workflows with work, or that had some a moment ago."""
        return frozenset((*self._recent.workflows(now), *self._pool.workflows()))

    def _to_tell(self, news: Mapping[Lane, None], active: Container[str]) -> list[Lane]:
        """Return the lanes on which peers are told something; most workflows have no work."""
        if not active:
            return [lane for lane in news if lane in self._up]
        return [lane for lane in self._up if lane in news or lane.workflow in active]

    def _name_unmet(self, foreign: Iterable[tuple[str, frozenset[str]]], now: float) -> None:
        """Name the waiting work that no node can do that answers."""
        unmet = {
            f"{workflow} that requires {', '.join(sorted(requires))}"
            for workflow, requires in foreign
            if not any(self._is_needed(lane, [(workflow, requires)]) for lane in self._up)
        }
        for work in self._unmet.due(unmet, now):
            _LOG.warning("work of %s waits: no node that answers offers it", work)

    def _is_needed(self, lane: Lane, foreign: Iterable[tuple[str, frozenset[str]]]) -> bool:
        """Whether a peer can do waiting work that this node cannot."""
        kinds = [requires for workflow, requires in foreign if workflow == lane.workflow]
        return any(map(self._offers(lane).issuperset, kinds))

    def _tell(self, lane: Lane, count: int, *, is_wanted: bool) -> None:
        before = self._told.pop(lane, (False, 0))
        if is_wanted or count:
            self._told[lane] = (is_wanted, count)
        if before[0] != is_wanted:
            self.bridge.tell(lane, Wants(is_wanted))
        if before[1] != count:
            self.bridge.tell(lane, Offer(count))

    def _for_long(self, load: NodeLoad) -> NodeLoad:
        """Return the load without the executors that work which takes long may not have."""
        return load._replace(slots=load.slots - self._pool.kept)

    def _load(self) -> NodeLoad:
        """Return the load, without what takes long to find: whether it is divisible."""
        own, lent = self._pool.own_waiting, 0
        for owners in self._pool.owners():
            hosted = [self.bridge.families.is_hosted(owner) for owner in owners]
            own += len(hosted) - sum(hosted)
            lent += hosted[0]
        return NodeLoad(self._pool.own_slots, own, lent=lent)
