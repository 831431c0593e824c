"""Datagrams over NSQ: a queue for each node and workflow, on the nsqd that the node names.

Senders publish straight to the nsqd of the receiver, so there is no discovery that could lag. NSQ
is taken for a network: it may lose, repeat and reorder, as the streams above it expect.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Final

from jobx.actors.bridge.nsq.clearing import Clearing
from jobx.actors.bridge.nsq.clients import Losses, Publisher, Server, Subscriber
from jobx.actors.bridge.nsq.connection import HEARTBEAT_S, Access
from jobx.actors.bridge.nsq.dials import Dials
from jobx.actors.bridge.transport import EPHEMERAL, Lane, Receive, topic_of
from jobx.errors import ConfigError

#: How long the end waits for what was sent last.
FINISH_S: Final = 1.0
#: So many connections show each second that nsqd is there. It is no other one for the rest …
WATCHED: Final = 50
#: … which hear of it so often, since each time costs both sides something.
SLOW_HEARTBEAT_S: Final = 15
_LOG: Final = logging.getLogger(__name__)
_ADDRESS: Final = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]\s/]+):(?P<port>[0-9]{1,5})")


class NsqTransport:
    """One node's transport.

    Must be made on the running loop.

    Args:
        node_id: This node.
        prefix: What all topics of the cluster begin with.
        server: The nsqd of this node's queues.
        access: TLS and secret, for all nsqd's.
    """

    def __init__(self, node_id: str, prefix: str, server: Server, access: Access) -> None:
        self._node_id = node_id
        self._prefix = prefix
        self._server = server
        self._access = access
        self._receives: dict[str, Receive] = {}
        #: By workflow, and what their topics end with.
        self._subscribers: dict[tuple[str, str], Subscriber] = {}
        #: Those of them that show each second that nsqd is there.
        self._watched: set[tuple[str, str]] = set()
        self._publishers: dict[Server, Publisher] = {}
        self._peers: dict[str, Server] = {}
        self._earlier: frozenset[str] = frozenset()
        #: Topics of peers that something was sent to, by workflow.
        self._sent: dict[str, dict[str, str]] = {}
        self._clearing = Clearing(access)
        self._losses = Losses()
        self._dials = Dials()
        self._opened: Callable[[str | None], None] = lambda _: None

    @property
    def is_ready(self) -> bool:
        """Whether all queues of this node are open."""
        return all(one.is_ready for one in self._subscribers.values())

    @property
    def dropped(self) -> int:
        """Number of datagrams that were not sent."""
        return sum(one.dropped for one in self._publishers.values())

    def reach(self, peers: Mapping[str, str], earlier: Collection[str] = ()) -> None:
        """See ``Transport``; addresses are ``host:port`` of nsqd's."""
        before, self._peers = self._peers, {}
        changed, self._earlier = self._earlier.symmetric_difference(earlier), frozenset(earlier)
        for peer, address in peers.items():
            try:
                self._peers[peer] = server_of("bridge.nsqd", address)
            except ConfigError as error:
                _LOG.error("node %s cannot be reached: %s", peer, error)
        wanted = set(self._peers.values())
        for server in [server for server in self._publishers if server not in wanted]:
            self._publishers.pop(server).close()
            if server != self._server:
                self._losses.forget(server)
        for peer, server in before.items():
            if self._peers.get(peer) != server or peer in changed:
                self._clearing.add(server, self._sent.pop(peer, {}).values())
        if changed:
            self._hear_earlier()

    def is_reached(self, peer: str) -> bool:
        """See ``Transport``."""
        publisher = self._publishers.get(self._peers[peer]) if peer in self._peers else None
        return publisher is None or publisher.is_ready

    def listen(self, workflow: str, receive: Receive) -> None:
        """Take in datagrams for this node in a workflow."""
        self._receives.setdefault(workflow, receive)
        self._take_in(workflow, EPHEMERAL)
        if self._earlier:
            self._take_in(workflow, "")

    def _take_in(self, workflow: str, ending: str) -> None:
        if (workflow, ending) not in self._subscribers:
            self._subscribers[workflow, ending] = Subscriber(
                self._server,
                self._access,
                topic_of(self._prefix, workflow, self._node_id, ending),
                partial(self._receives[workflow], workflow),
                partial(self._way_is_open, workflow),
                losses=self._losses,
                dials=self._dials,
                heartbeat_s=self._heartbeat_s(workflow, ending),
            )

    def _heartbeat_s(self, workflow: str, ending: str) -> int:
        if len(self._watched) == WATCHED:
            return SLOW_HEARTBEAT_S
        self._watched.add((workflow, ending))
        return HEARTBEAT_S

    def _hear_earlier(self) -> None:
        """Take in what peers of earlier versions send, while there are some."""
        for workflow in self._receives:
            if self._earlier:
                self._take_in(workflow, "")
            else:
                self._close(workflow, "")

    def _close(self, workflow: str, ending: str) -> None:
        subscriber = self._subscribers.pop((workflow, ending), None)
        self._watched.discard((workflow, ending))
        if subscriber is not None:
            subscriber.close()

    def leave(self, workflow: str) -> None:
        """See ``Transport``. What was sent in it to nodes that have left it before is removed."""
        self._receives.pop(workflow, None)
        for ending in (EPHEMERAL, ""):
            self._close(workflow, ending)
        self._clearing.add(self._server, [topic_of(self._prefix, workflow, self._node_id)])
        for peer, topics in self._sent.items():
            if (topic := topics.pop(workflow, None)) is not None:
                self._clearing.add(self._peers[peer], [topic])

    def when_open(self, opened: Callable[[str | None], None]) -> None:
        """See ``Transport``; called whenever a connection can be used."""
        self._opened = opened

    def _way_is_open(self, workflow: str | None = None) -> None:
        self._opened(workflow)

    def send(self, lane: Lane, datagram: bytes) -> None:
        """Publish a datagram; one to an unknown peer is dropped."""
        server = self._peers.get(lane.peer)
        if server is None:
            return
        publisher = self._publishers.get(server)
        if publisher is None:
            publisher = self._publishers[server] = Publisher(
                server, self._access, self._way_is_open, losses=self._losses
            )
        topics = self._sent.setdefault(lane.peer, {})
        topic = topics.get(lane.workflow)
        if topic is None:
            ending = "" if lane.peer in self._earlier else EPHEMERAL
            topic = topic_of(self._prefix, lane.workflow, lane.peer, ending)
            topics[lane.workflow] = topic
        publisher.publish(topic, datagram)

    async def finish(self) -> None:
        """Wait until what was sent has reached its servers, for a second at most."""
        await asyncio.gather(*(one.finish(FINISH_S) for one in self._publishers.values()))

    def close(self) -> None:
        """Close all connections."""
        self._clearing.close()
        self._dials.close()
        for client in (*self._subscribers.values(), *self._publishers.values()):
            client.close()


def server_of(setting: str, address: str) -> Server:
    """Return the server at ``host:port``; a host that is an IPv6 address is in brackets.

    Raises:
        ConfigError: It is no address.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found["port"]) < 1 << 16:
        raise ConfigError(setting, repr(address), "must be HOST:PORT")
    return Server(found["host"].strip("[]"), int(found["port"]))
