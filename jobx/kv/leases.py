"""The lease's contract: a key of a store that one holder has, for as long as that renews it.

A held key shows who holds it and a text of the holder, such as its address; whoever watches a
prefix hears when a key is taken, lost or shows another text. Nobody is told twice, and nobody hears
of a holder that came and went between two looks.

Memory and etcd have leases. The store of a folder needs none: the folder has its lock.
"""

from __future__ import annotations

import secrets
from typing import Protocol, TypeAlias

import msgspec
from msgspec import Struct

from jobx.errors import UNREADABLE


class Held(Struct, frozen=True):
    """What a held key shows; as the key's value it is JSON.

    Attributes:
        holder: Who holds it.
        term: Names this holding. A key that was lost and taken again has another one.
        value: A text of the holder.
    """

    holder: str
    term: str = ""
    value: str = ""

    def showing(self, value: str) -> Held:
        """Return the same holding with another text."""
        return Held(self.holder, self.term, value)

    def anew(self) -> Held:
        """Return another holding by the same holder."""
        return Held(self.holder, secrets.token_hex(8), self.value)


#: What is held, by key.
Holders: TypeAlias = dict[str, Held]


class Lease(Protocol):
    """A key and its holder. Threads may share it.

    A holder that dies loses it by itself. Who has the same name takes it over at once: so a name
    must say enough, and whoever bears it must know that the one before is dead.

    Raises, from every method:
        StoreUnavailable: The store does not answer; a lease that was held may be held still, and
            one that was not may be held now.
        StoreRefused: The store cannot be used as it is.
    """

    def acquire(self) -> None:
        """Become the holder, as soon as the one before has lost it.

        Raises:
            InUse: Another one still has it when a holder that is dead would have lost it.
        """

    def renew(self, value: str | None = None) -> bool:
        """Stay the holder for a while; become it again when it was lost and nobody has it.

        It does nothing after ``release``, which may come from another thread.

        Args:
            value: The text to show from now on; None: the one before. It counts also if this
                raises: the next renewal shows it.

        Returns:
            False if it was lost meanwhile, and was taken again: a new term has begun.

        Raises:
            InUse: Another one has it.
        """

    def release(self) -> None:
        """Give it up; one that is not held is fine."""


class Watch(Protocol):
    """The holders of the keys with a prefix, for one thread. It needs no close."""

    def next(self, timeout_s: float) -> Holders | None:
        """Return who holds what, as soon as that differs from what was last returned.

        The first call returns at once, also when nothing is held. Fast changes are seen as one; a
        change of the holder, the term or the value is never missed for good.

        Returns:
            All holders; None if nothing has changed in ``timeout_s``.

        Raises:
            StoreUnavailable: The store does not answer. What was last returned may be old; the next
                call tries again.
            StoreRefused: The store cannot be used as it is.
        """


class Leases(Protocol):
    """What a store that has leases offers."""

    def lease(self, key: str, holder: str, ttl_s: float, value: str = "") -> Lease:
        """Return a lease, not yet held.

        Args:
            key: The key.
            holder: Who holds it.
            ttl_s: So long after it was last renewed it is lost.
            value: The text to show while it is held.
        """

    def watch(self, prefix: str) -> Watch:
        """Return a watch of all keys that start with ``prefix``, which are leases."""


def encode(held: Held) -> bytes:
    """Return the value of a held key."""
    return msgspec.json.encode(held)


def decode(value: bytes) -> Held:
    """Return what the value of a held key says; what is none counts as the name of its holder."""
    try:
        return msgspec.json.decode(value, type=Held)
    except UNREADABLE:
        return Held(value.decode(errors="replace"))
