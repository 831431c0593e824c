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
        now: Monotonic seconds.
    """

    def __init__(
        self,
        lease: Lease,
        record: NodeRecord,
        anew: Callable[[int], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lease = lease
        self._record = record
        self._anew = anew
        self._now = now
        #: Since when the lease has been held, and when it was last renewed.
        self._held: tuple[float, float] | None = None

    def has_settled(self, lease_s: float) -> bool:
        """Whether the lease has been held for a lease time, and is held now; from any thread.

        Whoever else is alive has had the time to register by then.
        """
        held, now = self._held, self._now()
        return held is not None and held[0] + lease_s <= now < held[1] + lease_s

    @property
    def number(self) -> int:
        """The number of the present registration."""
        return self._record.registration

    def renew(self) -> bool:
        """Stay registered; raises what ``Lease.renew`` raises.

        Returns:
            False if the node was registered anew.
        """
        is_kept = True
        while True:
            asked_at = self._now()
            if self._lease.renew(encode(self._record)):
                self._held = asked_at if self._held is None else self._held[0], asked_at
                return is_kept
            is_kept = False
            # Not by the clock: a start that finds it behind would have an older registration.
            number = self._record.registration + 1
            self._held, self._record = None, replace(self._record, registration=number)
            self._anew(number)
