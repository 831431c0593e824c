"""A cluster: its nodes, its workflows, its store."""

from __future__ import annotations

from jobx.views.base import View
from jobx.views.nodes import NodeReport


class MemberView(View, frozen=True, kw_only=True):
    """A node as ``jobx cluster status`` shows it; ``report`` is None when it did not answer.

    ``nsqd_trouble`` says why its nsqd does not answer the host of the command.
    """

    node_id: str
    holder: str
    registration: int
    nsqd: str
    nsqd_trouble: str | None = None
    workflows: list[str]
    capabilities: list[str]
    slots: int
    version: str
    report: NodeReport | None = None


class WorkflowView(View, frozen=True, kw_only=True):
    """A workflow in a cluster: the nodes that run it."""

    workflow: str
    nodes: list[str]


class OpenView(View, frozen=True, kw_only=True):
    """How many requests a node has open, counted up to a limit; it may be gone."""

    node_id: str
    count: int
    has_more: bool = False
    is_registered: bool = True


class StoreServerView(View, frozen=True, kw_only=True):
    """A server of etcd; what is not known is None.

    Attributes:
        error: Why it did not answer.
        is_compacted: Old values were removed, or the server was told to remove them by itself.
    """

    server: str
    error: str | None = None
    version: str | None = None
    is_leader: bool = False
    has_leader: bool = False
    size_bytes: int | None = None
    quota_bytes: int | None = None
    alarms: list[str] = []
    revision: int | None = None
    is_compacted: bool | None = None


class ClusterView(View, frozen=True, kw_only=True):
    """A cluster. ``trouble`` is for people: a sentence for whatever somebody should look at."""

    cluster: str | None
    nodes: list[MemberView]
    workflows: list[WorkflowView]
    open_requests: list[OpenView]
    etcd: list[StoreServerView]
    trouble: list[str]
