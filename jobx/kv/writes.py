"""Many groups of writes as few: what a back end can send at once when no condition fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from jobx.kv.store import Create, Delete, Put, Write


@dataclass(frozen=True, slots=True)
class Folded:
    """Writes of distinct keys, by kind, in no order. Right only if every create succeeds."""

    creates: dict[str, bytes] = field(default_factory=dict)
    puts: dict[str, bytes] = field(default_factory=dict)
    deletes: set[str] = field(default_factory=set)

    def add(self, write: Write) -> bool:
        """Take in a write that follows the others; False when it cannot be folded."""
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


def fold(groups: Sequence[Sequence[Write]]) -> Folded | None:
    """Return all groups as one, or None when they must be done one after the other."""
    folded = Folded()
    for group in groups:
        for write in group:
            if not folded.add(write):
                return None
    return folded
