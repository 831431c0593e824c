"""A node, and what it tells of itself."""

from __future__ import annotations

from jobx.views.base import View


class Greeting(View, frozen=True, kw_only=True):
    """How a node greets a peer."""

    protocol: int
    node_id: str = ""
    version: str = ""
    pid: int = 0


class ReadinessView(View, frozen=True, kw_only=True):
    """Whether a node takes requests, and what is in the way."""

    state: str
    trouble: str | None = None
    #: What an operator should know, though it is in nobody's way.
    notice: str | None = None


class ExecutorView(View, frozen=True, kw_only=True):
    """One executor process, and the request that it is at."""

    pid: int
    state: str
    invocations: int
    rss_bytes: int
    age_s: float
    workflow: str | None = None
    request_id: str | None = None


class PeerView(View, frozen=True, kw_only=True):
    """A node of the cluster, as another one sees it.

    Attributes:
        executors: How many it has.
        workflows: Those whose jobs it runs; none: all.
        nsqd: The nsqd of its queues; empty: it has none.
        is_up: Whether it answers the node that says this; None: that one has no link to it.
    """

    node_id: str
    version: str
    executors: int
    workflows: list[str]
    capabilities: list[str]
    nsqd: str
    is_up: bool | None = None


class NodeView(View, frozen=True, kw_only=True):
    """A running node."""

    node_id: str
    version: str
    is_compiled: bool = False
    pid: int
    state: str
    uptime_s: float
    data_dir: str
    capabilities: list[str]
    open_requests: int
    queued_batches: int
    dead_letters: int
    rss_bytes: int
    executors: list[ExecutorView]
    #: All that are registered, this one too; none: it is alone.
    members: list[PeerView] = []


class LinkView(View, frozen=True, kw_only=True):
    """A link of a node to a peer in a workflow, and its counts since the node started.

    Attributes:
        children: Batches of this node's requests on the peer.
        hosted: Batches of the peer's requests here.
        unacked_bytes: What this node keeps until the peer has acknowledged it.
        resent: Number of packets that were sent again.
        duplicates: Number of packets that came again.
        stale: Number of letters for or from lives that were over.
        breaks: How often the link broke.
    """

    peer: str
    workflow: str
    is_up: bool
    children: int
    hosted: int
    unacked_bytes: int
    resent: int
    duplicates: int
    stale: int
    breaks: int


class NodeReport(View, frozen=True, kw_only=True):
    """What a node of a cluster tells of itself. ``node`` is None when its loop stands still.

    Attributes:
        dropped: Number of datagrams that were dropped, by reason.
    """

    node: NodeView | None = None
    trouble: str | None = None
    notice: str | None = None
    links: list[LinkView] = []
    dropped: dict[str, int] = {}
