"""Opens what sends to the outside: notifications, and results to their writers."""

from __future__ import annotations

import time
from collections.abc import Callable

from jobx.actors.egress.deliverer import Deliverer
from jobx.actors.egress.http_client import Outbound, tls_context
from jobx.actors.egress.notifications.notifier import Clocks, Notifier
from jobx.actors.egress.writers.base import WriterSite
from jobx.actors.egress.writers.registry import Writers
from jobx.actors.metrics import Metrics
from jobx.config import Settings
from jobx.kv.blobs import BlobFolder
from jobx.kv.store import Store


class Egress:
    """All that leaves a node for the outside.

    Args:
        settings: All settings.
        store: Has the deliveries and results.
        blobs: Has large results.
        now_at: The wall clock.
        metrics: Counts the tries of deliveries.

    Attributes:
        notifier: Sends notifications.
        writers: The kinds of result writers.
        deliverer: Delivers results.

    Raises:
        ConfigError: The settings of a channel or a writer are wrong.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        blobs: BlobFolder,
        now_at: Callable[[], float],
        metrics: Metrics,
    ) -> None:
        outbound, notify, results = settings.outbound, settings.notify, settings.results
        if outbound.ca_file:
            tls_context(outbound)
        node_id, clocks = settings.node.id, Clocks(time.monotonic, time.time)
        self.notifier = Notifier(node_id, settings, Outbound(outbound, [notify.http_url]), clocks)
        self.writers = Writers(WriterSite(settings, Outbound(outbound, [results.http_url]), now_at))
        self.deliverer = Deliverer(
            *(node_id, store, blobs, self.writers, results),
            notify=self.notifier.notify,
            now_at=now_at,
            tried=lambda outcome: metrics.deliveries[outcome,].add(),
        )

    async def close(self, is_over: Callable[[], bool]) -> None:
        """Send what is under way, until it is over."""
        await self.deliverer.close(is_over)
        await self.notifier.close(is_over)
