"""What a node tells the world: notifications, and results that go somewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from jobx.actors.egress.deliverer import Deliverer
from jobx.actors.egress.http_client import Outbound, tls_context
from jobx.actors.egress.notifications.notifier import Clocks, Notifier
from jobx.actors.egress.writers.base import Site
from jobx.actors.egress.writers.registry import Writers
from jobx.actors.messages import RequestKey
from jobx.actors.notification import Notification, handlers_changed
from jobx.config import Settings
from jobx.handlers.authoring.library import Library
from jobx.kv.blobs import BlobFolder
from jobx.kv.store import Store

#: A file of this name is in the data folder while a node runs on it.
RUNNING: Final = "running"
_NOTIFY_S: Final = 2.0


class Outside:
    """The notifier and the deliverer of a node, on its loop.

    Args:
        node_id: The node.
        settings: All settings.
        store: Where deliveries are.
        blobs: Where large results are.
        library: Whose handlers' changes are told.
        now_at: The service clock.

    Raises:
        ConfigError: A channel or a writer cannot work as it is set.
    """

    def __init__(
        self,
        node_id: str,
        settings: Settings,
        store: Store,
        blobs: BlobFolder,
        library: Library,
        *,
        now_at: Callable[[], float],
    ) -> None:
        outbound, notify, results = settings.outbound, settings.notify, settings.results
        if outbound.ca_file:
            tls_context(outbound)
        clocks = Clocks(time.monotonic, time.time)
        calls = Outbound(outbound, [notify.http_url])
        self._notifier = Notifier(node_id, settings, calls, clocks)
        self.writers = Writers(Site(settings, Outbound(outbound, [results.http_url]), now_at))
        self._deliverer = Deliverer(
            node_id, store, blobs, self.writers, results, notify=self.notify, now_at=now_at
        )
        self._node_id = node_id
        self._library = library
        self._versions = library.versions()
        self._running = settings.data_dir / RUNNING
        #: Whether the life before this one did not end well.
        self.was_lost = self._running.exists()

    def notify(self, notification: Notification) -> None:
        """Tell people of something."""
        self._notifier.notify(notification)

    def deliver(self, key: RequestKey) -> None:
        """Take the result of a finished request to where it goes."""
        self._deliverer.begin(key)

    async def redeliver(self, key: RequestKey) -> None:
        """Take a result once more to where it goes; see ``Deliverer.redeliver``."""
        await self._deliverer.redeliver(key)

    async def start(self) -> None:
        """Tell when the node before this one did not end well; take its deliveries up."""
        if self.was_lost:
            self.notify(_node_back(self._node_id, self._running))
        self._running.touch(mode=0o600)
        await self._deliverer.resume()

    def look(self) -> None:
        """Tell of handlers that have changed since the last look."""
        before, self._versions = self._versions, self._library.versions()
        if before != self._versions:
            for notification in handlers_changed(before, self._versions):
                self.notify(notification)

    async def close(self, timeout_s: float) -> None:
        """Let what is due go out within a time."""
        await self._deliverer.close(timeout_s)
        await self._notifier.close(min(timeout_s, _NOTIFY_S))

    def ended_well(self) -> None:
        """Note that this node was stopped, and not killed."""
        self._running.unlink(missing_ok=True)


def _node_back(node_id: str, running: Path) -> Notification:
    started = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(running.stat().st_mtime))
    return Notification(
        kind="node.back",
        level="warning",
        subject=f"node {node_id} is back; the one started at {started} was lost",
        cause=node_id,
        text="It was killed, or its machine went down. What was open is taken up.",
    )
