"""The lease's contract: a key of a store that one holder has, for as long as that renews it.

Memory and etcd have leases. The store of a folder needs none: the folder has its lock.
"""

from __future__ import annotations

from typing import Protocol


class Lease(Protocol):
    """A key and its holder.

    A holder that dies loses it by itself. Who has the same name takes it over at once: so a name
    must say enough, and whoever bears it must know that the one before is dead.

    Raises, from every method:
        StoreUnavailable: The store does not answer; a lease that was held may be held still.
        StoreRefused: The store cannot be used as it is.
    """

    def acquire(self) -> None:
        """Become the holder, as soon as the one before has lost it.

        Raises:
            InUse: Another one still has it when a holder that is dead would have lost it.
        """

    def renew(self) -> None:
        """Stay the holder for a while; become it again when it was lost and nobody has it.

        It does nothing after ``release``, which may come from another thread.

        Raises:
            InUse: Another one has it.
        """

    def release(self) -> None:
        """Give it up; one that is not held is fine."""


class Leases(Protocol):
    """What a store that has leases offers."""

    def lease(self, key: str, holder: str, ttl_s: float) -> Lease:
        """Return a lease, not yet held.

        Args:
            key: The key.
            holder: Who holds it: the key's value while it is held.
            ttl_s: So long after it was last renewed it is lost.
        """
