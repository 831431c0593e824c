"""Many groups of writes as few: what a back end can send at once when no condition fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from jobx.errors import TooLarge
from jobx.kv.prefixes import prefix_end
from jobx.kv.store import Create, Delete, DeletePrefix, Limits, Put, Replace, Unit, Write


@dataclass(frozen=True, slots=True)
class Folded:
    """Writes of distinct keys, by kind, in no order. Right only if every create succeeds.

    No key that is written is under a prefix that is deleted.
    """

    creates: dict[str, bytes] = field(default_factory=dict)
    puts: dict[str, bytes] = field(default_factory=dict)
    deletes: set[str] = field(default_factory=set)
    prefixes: set[str] = field(default_factory=set)

    def create(self, write: Create) -> bool:
        """Take in a create that follows the others; False when it cannot be folded."""
        key = write.key
        if key in self.creates or key in self.puts or key in self.deletes:
            return False
        if self.prefixes and self._is_gone(key):
            return False
        self.creates[key] = write.value
        return True

    def put(self, write: Put) -> bool:
        """Take in a put, likewise."""
        key = write.key
        if self.prefixes and self._is_gone(key):
            return False
        self.deletes.discard(key)
        (self.creates if key in self.creates else self.puts)[key] = write.value
        return True

    def delete(self, write: Delete) -> bool:
        """Take in a delete, likewise."""
        key = write.key
        if write.revision is not None or key in self.creates:
            return False
        if not self._is_gone(key):
            self.puts.pop(key, None)
            self.deletes.add(key)
        return True

    def delete_prefix(self, write: DeletePrefix) -> bool:
        """Take in the delete of a prefix, likewise."""
        prefix = write.prefix
        if prefix_end(prefix) is None:
            return False
        if any(key.startswith(prefix) for keys in (self.creates, self.puts) for key in keys):
            return False
        self.prefixes.add(prefix)
        return True

    def _is_gone(self, key: str) -> bool:
        return any(map(key.startswith, self.prefixes))


_FOLD: Final[dict[type[Write], Callable[[Folded, Any], bool]]] = {
    Create: Folded.create,
    Put: Folded.put,
    Replace: lambda *_: False,
    Delete: Folded.delete,
    DeletePrefix: Folded.delete_prefix,
}


def fold(writes: Unit) -> Folded | None:
    """Return writes by kind, or None when they must be done one after the other."""
    folded = Folded()
    if all(_FOLD[type(write)](folded, write) for write in writes):
        return folded
    return None


def name_of(write: Write) -> str:
    """Return the key of a write, or its prefix."""
    return write.prefix if isinstance(write, DeletePrefix) else write.key


def too_large(unit: Unit, limits: Limits) -> TooLarge | None:
    """Return what is wrong with a unit that has more than one may have."""
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
    return sum(map(_size, unit))


def _size(write: Write) -> int:
    if type(write) is DeletePrefix:
        return len(write.prefix)
    if type(write) is Delete:
        return len(write.key)
    return len(write.key) + len(write.value)
