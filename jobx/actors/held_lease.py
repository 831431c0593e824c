"""The lease of a node in a shared store, which the node holds until it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from jobx.actors.parts import Parts
from jobx.actors.threads import in_daemon
from jobx.errors import InUse
from jobx.kv.leases import Lease
from jobx.kv.opening import LEASE_S

_log = logging.getLogger(__name__)


class HeldLease:
    """Holds the lease of a node. Create it on the loop.

    Args:
        lease: The lease.
        fail: Called on the loop with the reason why the node cannot go on.

    Attributes:
        lease: The lease.
        renewal: Renews it in a thread, and returns False if it was lost, and is held again.
        lost: Called in that thread after it was lost; nothing is to do before a life is noted.
    """

    def __init__(self, lease: Lease, fail: Callable[[str], object]) -> None:
        self.lease = lease
        self.renewal = self._renew_alone
        self.lost: Callable[[], object] = lambda: None
        self._fail = fail
        self._loop = asyncio.get_running_loop()

    async def hold(self, parts: Parts) -> None:
        """Acquire it, and renew it until the parts of the node stop.

        Raises:
            InUse: Another node has it.
            JobxError: See ``Lease.acquire``.
        """
        await in_daemon("lease", self.lease.acquire)
        parts.push_async_callback(in_daemon, "lease", self.lease.release)
        parts.periodic().every(LEASE_S / 3, None, self.renew)

    def renew(self) -> None:
        """Stay the holder; blocks.

        Raises:
            JobxError: See ``Lease.renew``; but another holder ends the node.
        """
        try:
            if not self.renewal():
                self.lost()
        except InUse as error:
            self._loop.call_soon_threadsafe(self._fail, f"another node has its id: {error}")

    def _renew_alone(self) -> bool:
        """Renew it as a node does that is no member of a cluster."""
        is_kept = self.lease.renew()
        if not is_kept:
            _log.warning("the lease of the store was lost, and is held again")
        return is_kept
