"""The invocation tree of a request whole: as a trace, a graph, a dump."""

from __future__ import annotations

from typing import Any

from jobx.model import Delivery, Failure
from jobx.views.base import View
from jobx.views.requests import RequestView


class TraceNode(View, frozen=True, kw_only=True):
    """One invocation in the trace of a request."""

    invocation_id: str
    kind: str
    state: str
    step_name: str
    handler_name: str
    attempt: int = 1
    #: The node where it ran; of a reducer in partitions, the node of the last one.
    node_id: str | None = None
    #: The process id of its executor.
    executor: int | None = None
    #: When it could begin, when it began (within a millisecond), and how long it then ran.
    queued_at: float | None = None
    started_at: float | None = None
    duration_s: float | None = None
    input: str | None = None
    output: str | None = None
    session: dict[str, Any] | None = None
    failure: Failure | None = None
    children: list[TraceNode] = []
    #: Children that are not shown because the view is bounded.
    hidden: int = 0


class TraceView(View, frozen=True, kw_only=True):
    """The invocation tree of a request."""

    request: RequestView
    root: TraceNode | None
    deliveries: list[Delivery] = []

    @property
    def is_spread(self) -> bool:
        """Whether more than one node had a part in the request, its coordinator included."""
        found = {self.request.coordinator}
        todo = [self.root] if self.root is not None else []
        while todo:
            vertex = todo.pop()
            found.add(vertex.node_id)
            todo += vertex.children
        return len(found - {None}) > 1


class TraceJson(View, frozen=True, kw_only=True):
    """The JSON of a TraceView, see ``actors/inspection/trace_json.py``."""

    json: bytes


class GraphView(View, frozen=True, kw_only=True):
    """A graph in the language of Graphviz."""

    dot: str


class DumpChunk(View, frozen=True, kw_only=True):
    """A chunk of a dump; further ones are asked for by its id."""

    dump_id: str
    data: bytes
    is_last: bool
