"""Many groups of writes as few: what a back end can send at once when no condition fails."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

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

    def add(self, write: Write) -> bool:
        """Take in a write that follows the others; False when it cannot be folded."""
        if isinstance(write, DeletePrefix):
            return self._add_prefix(write.prefix)
        if any(write.key.startswith(prefix) for prefix in self.prefixes):
            return isinstance(write, Delete) and write.revision is None
        if isinstance(write, Create):
            if write.key in self.creates or write.key in self.puts or write.key in self.deletes:
                return False
            self.creates[write.key] = write.value
        elif isinstance(write, Put):
            self.deletes.discard(write.key)
            (self.creates if write.key in self.creates else self.puts)[write.key] = write.value
        elif isinstance(write, Delete) and write.revision is None:
            if write.key in self.creates:
                return False
            self.puts.pop(write.key, None)
            self.deletes.add(write.key)
        else:
            return False
        return True

    def _add_prefix(self, prefix: str) -> bool:
        if prefix_end(prefix) is None:
            return False
        if any(key.startswith(prefix) for keys in (self.creates, self.puts) for key in keys):
            return False
        self.prefixes.add(prefix)
        return True


def fold(units: Iterable[Unit]) -> Folded | None:
    """Return all units as one, or None when they must be done one after the other."""
    folded = Folded()
    for unit in units:
        for write in unit:
            if not folded.add(write):
                return None
    return folded


def name_of(write: Write) -> str:
    """Return the key of a write, or its prefix."""
    return write.prefix if isinstance(write, DeletePrefix) else write.key


def too_large(unit: Unit, limits: Limits) -> TooLarge | None:
    """Return what is wrong with a unit that has more than one may have."""
    if len(unit) > limits.writes:
        reason = f"may have at most {limits.writes} writes"
        return TooLarge(f"what is written with {name_of(unit[0])}", f"{len(unit)} writes", reason)
    size = sum(map(_size, unit))
    if size <= limits.size_bytes:
        return None
    reason = f"may have at most {limits.size_bytes} bytes"
    return TooLarge(f"what is written with {name_of(unit[-1])}", f"{size} bytes", reason)


def _size(write: Write) -> int:
    value = write.value if isinstance(write, Create | Put | Replace) else b""
    return len(name_of(write)) + len(value)
