"""Coalesces many writes into few, which a back end can send at once if no condition fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from jobx.errors import TooLarge
from jobx.kv.prefixes import prefix_end
from jobx.kv.store import Create, Delete, DeletePrefix, Limits, Put, Replace, Unit, Write


@dataclass(frozen=True, slots=True)
class Coalesced:
    """Writes of distinct keys, by kind, in no order.

    They are right only if every create succeeds, and every replacement and exact delete finds its
    revision. No written key is under a deleted prefix.
    """

    creates: dict[str, bytes] = field(default_factory=dict)
    puts: dict[str, bytes] = field(default_factory=dict)
    deletes: set[str] = field(default_factory=set)
    prefixes: set[str] = field(default_factory=set)
    #: Keys that are deleted only at these revisions.
    exact: dict[str, int] = field(default_factory=dict)
    #: Values of keys that are replaced only at these revisions.
    replaced: dict[str, tuple[bytes, int]] = field(default_factory=dict)

    def create(self, write: Create) -> bool:
        """Add a create that follows the others; return False if it cannot be coalesced."""
        key = write.key
        if key in self.creates or key in self.puts or key in self.deletes:
            return False
        if key in self.exact or key in self.replaced:
            return False
        if self.prefixes and self._is_gone(key):
            return False
        self.creates[key] = write.value
        return True

    def put(self, write: Put) -> bool:
        """Add a put, likewise."""
        key = write.key
        if key in self.exact or key in self.replaced or (self.prefixes and self._is_gone(key)):
            return False
        self.deletes.discard(key)
        (self.creates if key in self.creates else self.puts)[key] = write.value
        return True

    def delete(self, write: Delete) -> bool:
        """Add a delete, likewise."""
        key = write.key
        if key in self.creates or key in self.exact or key in self.replaced:
            return False
        if write.revision is not None:
            if not (write.revision and self._is_untouched(key)):
                return False
            self.exact[key] = write.revision
            return True
        if not self._is_gone(key):
            self.puts.pop(key, None)
            self.deletes.add(key)
        return True

    def replace(self, write: Replace) -> bool:
        """Add a replacement, likewise."""
        key = write.key
        if not (write.revision and self._is_untouched(key)):
            return False  # no key has revision 0, though etcd says it of one that is not there
        self.replaced[key] = write.value, write.revision
        return True

    def delete_prefix(self, write: DeletePrefix) -> bool:
        """Add the delete of a prefix, likewise."""
        prefix = write.prefix
        if prefix_end(prefix) is None:
            return False
        written = self.creates, self.puts, self.exact, self.replaced
        if any(key.startswith(prefix) for keys in written for key in keys):
            return False
        self.prefixes.add(prefix)
        return True

    def _is_untouched(self, key: str) -> bool:
        if key in self.creates or key in self.puts or key in self.deletes:
            return False
        return not (key in self.exact or key in self.replaced or self._is_gone(key))

    def _is_gone(self, key: str) -> bool:
        return bool(self.prefixes) and key.startswith(tuple(self.prefixes))


_COALESCE: Final[dict[type[Write], Callable[[Coalesced, Any], bool]]] = {
    Create: Coalesced.create,
    Put: Coalesced.put,
    Replace: Coalesced.replace,
    Delete: Coalesced.delete,
    DeletePrefix: Coalesced.delete_prefix,
}


def coalesce(writes: Unit) -> Coalesced | None:
    """Return writes by kind, or None if they must be done one after the other."""
    coalesced = Coalesced()
    for write in writes:  # without a call for each that does not do it
        if not _COALESCE[type(write)](coalesced, write):
            return None
    return coalesced


def name_of(write: Write) -> str:
    """Return the key of a write, or its prefix."""
    return write.prefix if isinstance(write, DeletePrefix) else write.key


def too_large(unit: Unit, limits: Limits) -> TooLarge | None:
    """Return the error of a unit that exceeds the limits, or None."""
    if len(unit) > limits.writes:
        reason = f"may have at most {limits.writes} writes"
        return TooLarge(f"what is written with {name_of(unit[0])}", f"{len(unit)} writes", reason)
    size = size_of(unit)
    if size <= limits.size_bytes:
        return None
    reason = f"may have at most {limits.size_bytes} bytes"
    return TooLarge(f"what is written with {name_of(unit[-1])}", f"{size} bytes", reason)


def size_of(unit: Unit) -> int:
    """Return the bytes of a unit's keys and values."""
    size = 0
    for write in unit:
        if type(write) is DeletePrefix:
            size += len(write.prefix)
        elif type(write) is Delete:
            size += len(write.key)
        else:
            size += len(write.key) + len(write.value)
    return size
