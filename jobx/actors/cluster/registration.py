"""The registration of a node with its cluster: the lease of its id, and what it shows there."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec.structs import replace

from jobx.actors.cluster.members import NodeRecord, encode
from jobx.kv.leases import Lease


class Registration:
    """Keeps a node registered, and registers it anew when its lease was lost. Its methods block.

    Args:
        lease: The lease of the node's id; it is held.
        record: What the node shows.
        anew: Called with each further number of the registration.
    """

    def __init__(self, lease: Lease, record: NodeRecord, anew: Callable[[int], None]) -> None:
        self._lease = lease
        self._record = record
        self._anew = anew

    def renew(self) -> None:
        """Stay registered; raises what ``Lease.renew`` raises."""
        if self._lease.renew(encode(self._record)):
            return
        number = max(self._record.registration + 1, time.time_ns())
        self._record = replace(self._record, registration=number)
        self._anew(number)
        self._lease.renew(encode(self._record))
