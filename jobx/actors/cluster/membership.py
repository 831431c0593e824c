"""A node's part in its cluster: its bridge, its registration, and its view of the others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from thespian.actors import Actor

from jobx import __version__
from jobx.actors.bridge.bridge import Bridge
from jobx.actors.bridge.codec import Answer, Ask, Note
from jobx.actors.bridge.ends import LinkState, LocalEnd
from jobx.actors.bridge.envelope import Seal
from jobx.actors.bridge.transport import Lane, Transport
from jobx.actors.cluster.adoption import Adoption
from jobx.actors.cluster.asking import Answering, Asking
from jobx.actors.cluster.identity import secret_of
from jobx.actors.cluster.lent_pool import Pool
from jobx.actors.cluster.members import NodeRecord, members_of, records_of, seen
from jobx.actors.cluster.peers import Peers, PeerState
from jobx.actors.cluster.pulse import Pulse
from jobx.actors.cluster.registration import Registration
from jobx.actors.cluster.watch import LeaseWatch
from jobx.actors.runtime.system import LoopSystemBase
from jobx.config import Settings
from jobx.kv.leases import Holders, Lease, Leases
from jobx.kv.store import Store
from jobx.views import PeerView


class Membership:
    """Makes a node a member of its cluster. On the loop only.

    Args:
        base: The actors of the node; it gets the bridge.
        transport: Carries datagrams.
        pool: The executors.
        kinds: Classes of actors that other nodes may create here, by name.
        more_room: Called with a workflow that may use more executors than before.
        answer: Answers questions of other nodes.
        probe: Asks the supervisor of this node; it calls what it was given when it has answered.

    Attributes:
        asking: Asks other nodes.
        pulse: Whether the supervisor of this node answers.
    """

    def __init__(
        self,
        settings: Settings,
        incarnation: int,
        base: LoopSystemBase,
        transport: Transport,
        pool: Pool,
        *,
        kinds: Mapping[str, type[Actor]],
        more_room: Callable[[str], None],
        answer: Answering,
        probe: Callable[[Callable[[], None]], None],
    ) -> None:
        self._settings = settings
        self._base = base
        self._record = _record_of(settings, incarnation)
        node, cluster = settings.node, settings.cluster
        self._peers = Peers(
            node.id, settings.capabilities, pool, transport, base.scheduler, more_room=more_room
        )
        self._bridge = Bridge(
            base,
            transport,
            Seal(secret_of(cluster), cluster.name),
            LocalEnd(node.id, incarnation, cluster.name, settings.bridge.deaf_s),
            kinds=kinds,
            choose=self._peers.choose,
            heard=self._heard,
            changed=self._changed,
            probe=probe,
        )
        self.asking = Asking(self._bridge, answer)
        self.pulse = Pulse(probe, settings.bridge.deaf_s)
        self._peers.bridge = self._bridge
        base.placement = self._bridge.families
        self._watch: LeaseWatch | None = None
        self._registration: Registration | None = None
        #: What the nodes of the cluster show, by their ids.
        self._seen: dict[str, NodeRecord] = {}

    def registration(self, lease: Lease) -> Registration:
        """Return what registers the node, by the lease of its id."""

        def anew(number: int) -> None:
            self._base.on_loop(lambda: self._bridge.register(number))

        self._registration = Registration(lease, self._record, anew)
        return self._registration

    def adoption(self, store: Store, has_settled: Callable[[], bool]) -> Adoption:
        """Return what finds the node's share of what lost nodes leave."""
        limit = self._settings.requests.node_deaths
        node_id = self._settings.node.id
        return Adoption(node_id, self._record, store, has_settled, death_limit=limit)

    def follow(self, leases: Leases, prefix: str, told: Callable[[Holders, str], object]) -> None:
        """Work with the nodes that hold leases of ``prefix`` and an id; ``told`` hears of all."""

        def saw(holders: Holders) -> None:
            self._peers.saw(members_of(holders, prefix))
            self._seen = records_of(holders, prefix)
            told(holders, prefix)

        self._watch = LeaseWatch(leases, prefix, saw)

    def serve(self, workflows: Iterable[str]) -> None:
        """Work with others on these workflows, of those that this node runs."""
        self._peers.serve(filter(self._record.runs, workflows))

    def others(self, workflow: str, gone_s: float) -> Collection[frozenset[str]] | None:
        """Return what each other node offers that runs a workflow; see ``Services.others``."""
        return self._peers.others(workflow, gone_s)

    def peer(self, node_id: str, workflow: str) -> PeerState:
        """Return how another node is that has work of this one."""
        return self._peers.state(Lane(node_id, workflow))

    @property
    def trouble(self) -> str | None:
        """Why a node without executors is of no use now."""
        if not self._settings.node.front_end or self._peers.has_any:
            return None
        return "this front end reaches no other node, so no handler can run"

    def _heard(self, lane: Lane, note: Note) -> None:
        if isinstance(note, Ask | Answer):
            self.asking.heard(lane, note)
        else:
            self._peers.heard(lane, note)

    def _changed(self, lane: Lane) -> None:
        self._peers.changed(lane)
        self.asking.changed(lane)

    @property
    def number(self) -> int:
        """The number of the present registration of this node."""
        return self._registration.number if self._registration else self._record.registration

    @property
    def dropped(self) -> dict[str, int]:
        """Number of datagrams that were dropped, by reason."""
        return {str(reason): count for reason, count in self._bridge.refused.items()}

    def members(self) -> list[PeerView]:
        """Describe the nodes of the cluster."""
        return seen(self._seen, ((one.lane.peer, one.is_up) for one in self.states()))

    def states(self) -> list[LinkState]:
        """Describe the links to other nodes."""
        return self._bridge.states()

    def close(self) -> None:
        """Lend and borrow nothing more, and send nothing more."""
        if self._watch is not None:
            self._watch.stop()
        self._peers.close()
        self.asking.close()
        self._bridge.close()


def _record_of(settings: Settings, incarnation: int) -> NodeRecord:
    return NodeRecord(
        registration=incarnation,
        nsqd=settings.bridge.nsqd,
        workflows=settings.node.workflows,
        capabilities=settings.capabilities,
        slots=settings.executor_count,
        version=__version__,
        is_heir=True,
        has_ephemeral_queues=True,
    )
