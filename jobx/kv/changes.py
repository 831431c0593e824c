"""The contract of following keys: which ones were written, as soon as they are.

Memory and etcd can tell. In the store of a folder only one node writes, which knows by itself.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Changed(NamedTuple):
    """What happened to the keys of a prefix.

    Attributes:
        keys: Those that were written, and perhaps some that were removed.
        has_gap: More may have been written before this, which cannot be told any more.
    """

    keys: list[str]
    has_gap: bool = False


class Changes(Protocol):
    """Follows the keys with a prefix, for one thread. It needs no close."""

    def next(self, timeout_s: float) -> Changed:
        """Return what was written since the last call, as soon as there is something.

        The first call returns at once, with a gap: everything later is told. It returns earlier
        without anything if a server fails; nothing is lost by that.

        Args:
            timeout_s: Return without anything after this, or when a look that has begun ends, which
                takes a few seconds at most.

        Raises:
            StoreUnavailable: The store does not answer; the next call goes on.
            StoreRefused: The store cannot be used as it is.
        """


class Followed(Protocol):
    """What a store offers whose keys can be followed."""

    def changes(self, prefix: str) -> Changes:
        """Follow all keys that start with ``prefix``, from the first look on."""
