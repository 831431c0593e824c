"""The verbs about what a node counts."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass

from jobx.actors.cluster.membership import Membership
from jobx.actors.gateway.console_verbs import ConsoleVerbs
from jobx.actors.gateway.node_verbs import NodeVerbs
from jobx.actors.gateway.server import Table
from jobx.actors.inspection import metric_views
from jobx.actors.ports import Services
from jobx.questions import CountHttp, GetActorSummary, GetMetrics, GetNode
from jobx.views import CountedView, MetricsView


@dataclass(frozen=True, slots=True)
class MetricVerbs:
    """Shows what a node counted, and takes the counts of web workers.

    Attributes:
        node: The verbs about the node.
        console: Those about its actors.
        services: The ports of the node.
        membership: Its part in the cluster, if it has one.
        open_deliveries: Returns how many results are to be delivered.
        is_stalled: Returns whether the log cannot be written.
    """

    node: NodeVerbs
    console: ConsoleVerbs
    services: Services
    membership: Membership | None
    open_deliveries: Callable[[], int]
    is_stalled: Callable[[], bool]

    def table(self) -> Table:
        """Return what answers each kind of question."""
        return {GetMetrics: self.metrics, CountHttp: self.count_http}

    async def metrics(self, _: GetMetrics) -> MetricsView:
        """Return all counts and gauges."""
        node, peers = self.node, self.membership
        status = await node.status(GetNode())
        actors = await self.console.summary(GetActorSummary())
        held_bytes = self.services.budget.held_bytes
        shown = itertools.chain(
            metric_views.counted(self.services.metrics),
            metric_views.of_node(status, held_bytes, self.open_deliveries()),
            metric_views.of_trouble(node.readiness.troubles(), is_stalled=self.is_stalled()),
            metric_views.of_actors(actors),
            metric_views.of_links(peers.states() if peers else (), peers.dropped if peers else {}),
        )
        families = []
        for family in shown:  # one of a thousand label sets takes a few milliseconds
            families.append(family)
            await asyncio.sleep(0)
        return MetricsView(families=families)

    async def count_http(self, asked: CountHttp) -> CountedView:
        """Add what a web worker has counted."""
        self.services.metrics.add_http(asked.worker, asked.number, asked.counted)
        return CountedView(number=asked.number)
