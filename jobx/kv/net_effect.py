"""The net effect of a unit of writes, for back ends that write a key once and check first."""

from __future__ import annotations

from dataclasses import dataclass, field

from jobx.kv.store import Create, Delete, DeletePrefix, Put, Replace, Unit, Write


@dataclass(slots=True)
class Played:
    """The net effect of a unit.

    Attributes:
        conditions: The revision that each key must have before; 0 if it must not exist.
        left: The values of keys afterwards; None for a removed key.
        prefixes: All keys with one of these prefixes that are not in ``left`` are removed.
        refused: The key of a condition that the unit itself broke; None if there is none.
    """

    conditions: dict[str, int] = field(default_factory=dict)
    left: dict[str, bytes | None] = field(default_factory=dict)
    prefixes: list[str] = field(default_factory=list)
    refused: str | None = None

    def play(self, write: Write) -> bool:
        """Take in the next write; False when its condition cannot hold."""
        if isinstance(write, DeletePrefix):
            self.left = {k: v for k, v in self.left.items() if not k.startswith(write.prefix)}
            self.prefixes.append(write.prefix)
            return True
        revision = _condition(write)
        is_create = isinstance(write, Create)
        if revision is not None and not self._demand(write.key, revision, is_create):
            self.refused = write.key
            return False
        self.left[write.key] = None if isinstance(write, Delete) else write.value
        return True

    def _demand(self, key: str, revision: int, is_create: bool) -> bool:
        if revision == 0 and not is_create:  # no entry has this revision
            return False
        is_own = key in self.left or any(key.startswith(prefix) for prefix in self.prefixes)
        if is_own:
            return revision == 0 and self.left.get(key) is None
        self.conditions[key] = revision
        return True


def play(unit: Unit) -> Played:
    """Return the net effect of a unit, up to the first write that it refuses itself."""
    played = Played()
    for write in unit:
        if not played.play(write):
            break
    return played


def _condition(write: Create | Put | Replace | Delete) -> int | None:
    """Return the revision that a write requires of its key; None if it requires none."""
    if isinstance(write, Create):
        return 0
    return None if isinstance(write, Put) else write.revision
