"""The bridge of a node: its links to other nodes, and the datagrams that pass them."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Container, Mapping
from typing import TYPE_CHECKING, Any, Final

from thespian.actors import Actor

from jobx.actors.bridge import codec
from jobx.actors.bridge.codec import Answer, Ask, Note, Offer, Unknown, Wants
from jobx.actors.bridge.ends import End, Ends, LinkState, LocalEnd, Post
from jobx.actors.bridge.envelope import Envelope, Refusal, Seal
from jobx.actors.bridge.families import Families
from jobx.actors.bridge.link import Broken, Link
from jobx.actors.bridge.transport import Lane, Transport
from jobx.actors.runtime.placement import Creation
from jobx.errors import FrameError, TooLarge

if TYPE_CHECKING:
    from jobx.actors.runtime.engine import Engine

#: Most kinds of unknown items that are named.
MAX_TAGS: Final = 100
#: Dropped datagrams are logged so often at most, for each reason.
LOG_S: Final = 10.0
_HINTS: Final[dict[Refusal, str]] = {
    "key": "; is cluster.key the same on all nodes?",
    "version": "; is JobX of nearly the same version on all nodes?",
}
_LOG: Final = logging.getLogger(__name__)


def _ignore(*_: object) -> None:
    """Do nothing."""


def _is_alive(answered: Callable[[], None]) -> None:
    """Answer for a supervisor that is none of the bridge's business."""
    answered()


class Bridge:
    """Connects an engine to those of other nodes. On the loop's thread only.

    Args:
        engine: The actors of this node. Its ``placement`` must be set to ``families``.
        transport: Carries datagrams.
        seal: Makes and checks them.
        site: This node.
        kinds: Classes of actors that may be created from other nodes, by their names on the wire.
        choose: Says on which lane an actor is created; None: here.
        heard: Called with what another node tells this one.
        changed: Called when a link is up, and when it broke.
        probe: Asks the supervisor of this node whether it handles messages; it calls what it was
            given when it has answered.

    Attributes:
        refused: Number of dropped datagrams by reason.
        families: The actors that depend on links.
    """

    def __init__(
        self,
        engine: Engine,
        transport: Transport,
        seal: Seal,
        site: LocalEnd,
        *,
        kinds: Mapping[str, type[Actor]],
        choose: Callable[[Creation], Lane | None],
        heard: Callable[[Lane, Note], None] = _ignore,
        changed: Callable[[Lane], None] = _ignore,
        probe: Callable[[Callable[[], None]], None] = _is_alive,
    ) -> None:
        self.refused: Counter[Refusal] = Counter()
        self._scheduler = engine.scheduler
        self._transport = transport
        self._seal = seal
        self._site = site
        self._heard = heard
        self._changed = changed
        self._probe = probe
        self._is_probing = False
        self._ends = Ends()
        #: Links whose peers want an answer of the supervisor.
        self._asked: dict[Lane, End] = {}
        self._post = Post(engine.scheduler, transport, seal, site, self._broke)
        find, put = self._ends.get, self._put
        self.families = Families(engine, site, self._post, find, put, kinds=kinds, choose=choose)
        self._take: dict[type, Callable[[End, Any], None]] = {
            **self.families.takes(),
            **dict.fromkeys((Wants, Offer, Ask, Answer), self._noted),
            Unknown: self._ignored,
        }
        self._logged: dict[Refusal, float] = {}
        #: New links begin with it: later than those to nodes that are forgotten.
        self._first_epoch = 1
        self._ignored_tags: set[tuple[str, str]] = set()
        self._is_closed = False
        transport.when_open(self._retry)

    def _retry(self, workflow: str | None) -> None:
        """Ask the peers that are not there: how rarely they are asked grew with their absence.

        Only those in a workflow that this node hears now; None: all.
        """
        for end in self._ends if workflow is None else self._ends.of(workflow):
            if not (end.link.is_up or self._is_closed):
                end.link.retry()
                self._post.touch(end)

    def open(self, workflow: str) -> None:
        """Take in datagrams for this node in a workflow."""
        self._transport.listen(workflow, self.receive)

    def connect(self, lane: Lane) -> None:
        """Look for a peer in a workflow, and keep looking."""
        if self._ends.get(lane) is None:
            site = self._site
            now = self._scheduler.now()
            link = Link(site.registration, now, site.patience_s, self._first_epoch)
            end = End(lane, link)
            self._ends.add(end)
            self._post.touch(end)

    def keep(self, peers: Container[str]) -> None:
        """Forget the links to all nodes but these."""
        for end in [end for end in self._ends if end.lane.peer not in peers]:
            self._forget(end, "the node has left")

    def leave(self, workflow: str) -> bool:
        """Take in nothing more in a workflow, and forget its links; peers hear of that.

        Returns:
            False if actors depend on one of its links: then nothing changes.
        """
        ends = self._ends.of(workflow)
        if any(end.children or end.hosted for end in ends):
            return False
        for end in ends:
            self._forget(end, "the workflow is gone")
        self._transport.leave(workflow)
        return True

    def _forget(self, end: End, reason: str) -> None:
        self._broke(end, end.link.give_up(reason))
        self._post.flush()  # which tells the peer the new epoch
        self._first_epoch = max(self._first_epoch, end.link.epoch.number + 1)
        self._post.drop(end)
        self._ends.remove(end)
        self._asked.pop(end.lane, None)

    def register(self, registration: int) -> None:
        """Begin anew with all peers, since this node lost its registration and has another one."""
        self._site = self._site._replace(registration=registration)
        self.families.register(registration)
        for end in self._ends:
            self._broke(end, end.link.register(registration))

    def tell(self, lane: Lane, note: Note) -> None:
        """Tell a peer something, if its link is up."""
        end = self._ends.get(lane)
        if end is not None and end.link.is_up and not self._is_closed:
            self._put(end, codec.note(note))

    def lose(self, peer: str, registration: int, reason: str) -> None:
        """Break all links to a peer for its registrations up to this one."""
        for end in self._ends:
            broken = end.link.lose(registration, reason) if end.lane.peer == peer else None
            if broken is not None:
                self._broke(end, broken)

    def await_peer(self, lane: Lane, *, is_awaited: bool) -> None:
        """Say whether a peer is needed soon, so that its silence is noticed before."""
        end = self._ends.get(lane)
        if end is not None and end.is_awaited != is_awaited:
            end.is_awaited = is_awaited
            end.use(self._scheduler.now())
            self._post.touch(end)

    def is_up(self, lane: Lane) -> bool:
        """Whether a peer answers on a lane."""
        end = self._ends.get(lane)
        return end is not None and end.link.is_up

    def has_room(self, lane: Lane) -> bool:
        """Whether an actor can be created on a lane now."""
        end = self._ends.get(lane)
        return end is not None and end.has_room

    def children(self, lane: Lane) -> int:
        """Return how many children of actors here are on a lane."""
        end = self._ends.get(lane)
        return len(end.children) if end is not None else 0

    def states(self) -> list[LinkState]:
        """Describe all links."""
        return [end.state() for end in self._ends]

    def state(self, lane: Lane) -> LinkState | None:
        """Describe a link; None if there is none."""
        end = self._ends.get(lane)
        return end.state() if end is not None else None

    def close(self) -> None:
        """Send what may be sent now, once, and nothing more; whether it arrives is not known."""
        self._post.close(self._ends)
        self.families.close()
        self._is_closed = True

    def _put(self, end: End, item: bytes) -> None:
        """Send an item; a link that cannot take it is given up, since no mail may be missing."""
        try:
            end.link.outbox.put(item)
        except TooLarge as error:
            self._broke(end, end.link.give_up(str(error)))
        self._post.touch(end)

    def receive(self, workflow: str, datagram: bytes) -> None:
        """Take a datagram; a bad one is counted, named and dropped."""
        if self._is_closed:
            return
        envelope = self._seal.open(datagram)
        if not isinstance(envelope, Envelope):
            self._refuse(envelope, workflow)
            return
        end = self._ends.get(Lane(envelope.source, envelope.workflow))
        if envelope.workflow != workflow:
            self._refuse("workflow", f"{workflow}, from {envelope.source}")
        elif end is None or envelope.target != self._site.node_id:
            self._refuse("node", f"{workflow}, from {envelope.source} to {envelope.target}")
        else:
            was_up = end.link.is_up
            events = end.link.receive(envelope.letter, self._scheduler.now())
            if end.link.is_up and not was_up:
                _LOG.info("the link to %s in %s is up", *end.lane)
                self._changed(end.lane)
            self._handle(end, events)
            self._ask_supervisor(end)
            self._post.touch(end)

    def _ask_supervisor(self, end: End) -> None:
        """Ask it for all peers that want an answer, once at a time; it may never answer."""
        if end.link.is_asked:
            self._asked[end.lane] = end
            if not self._is_probing:
                self._is_probing = True
                self._probe(self._supervisor_answered)

    def _supervisor_answered(self) -> None:
        self._is_probing = False
        now = self._scheduler.now()
        asked, self._asked = self._asked, {}
        for end in asked.values():
            if end.link.is_asked and not self._is_closed:
                end.link.answer(now)
                self._post.touch(end)

    def _refuse(self, reason: Refusal, what: str) -> None:
        self.refused[reason] += 1
        now = self._scheduler.now()
        if now >= self._logged.get(reason, -math.inf) + LOG_S:
            self._logged[reason] = now
            hint = _HINTS.get(reason, "")
            _LOG.warning("a datagram was dropped (%s): workflow %s%s", reason, what, hint)

    def _handle(self, end: End, events: list[bytes | Broken]) -> None:
        epoch = end.link.epoch
        for event in events:
            self._happened(end, event)
            if end.link.epoch != epoch:  # it was given up, and what follows with it
                return

    def _happened(self, end: End, event: bytes | Broken) -> None:
        if isinstance(event, Broken):
            self._broke(end, event)
            return
        try:
            item = codec.read_item(event)
            self._take[type(item)](end, item)
        except FrameError as error:
            self._broke(end, end.link.give_up(str(error)))
        except Exception as error:  # noqa: BLE001 - it is acknowledged, so it will not come again
            _LOG.exception("an item of %s in %s was not handled", *end.lane)
            self._broke(end, end.link.give_up(f"an item was not handled: {error!r}"))

    def _ignored(self, end: End, item: Unknown) -> None:
        """Name what a later version of JobX sends, once, and go on without it."""
        told = (end.lane.peer, item.tag)
        if told not in self._ignored_tags and len(self._ignored_tags) < MAX_TAGS:
            self._ignored_tags.add(told)
            text = "node %s sends %r, which this version of JobX does not know; it is ignored"
            _LOG.warning(text, *told)

    def _noted(self, end: End, item: Note) -> None:
        self._heard(end.lane, item)

    def _broke(self, end: End, broken: Broken) -> None:
        if end.children or end.hosted:
            _LOG.warning("the link to %s in %s broke: %s", *end.lane, broken.reason)
        self.families.part(end, broken)
        self._changed(end.lane)
        self._post.touch(end)
