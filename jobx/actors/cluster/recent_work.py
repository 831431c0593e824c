"""The work that a node had a moment ago, and so may have again. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

#: A workflow without work for this long wants no executors of other nodes.
QUIET_S: Final = 1.0


class RecentWork:
    """Remembers when batches were last created here."""

    def __init__(self) -> None:
        self._used_at: dict[str, float] = {}
        self._foreign_at: dict[tuple[str, frozenset[str]], float] = {}

    def note(self, workflow: str, now: float) -> None:
        """Take note of a batch of a workflow."""
        self._used_at[workflow] = now

    def note_foreign(self, workflow: str, requires: Iterable[str], now: float) -> None:
        """Take note of a batch that only other nodes can run."""
        self._foreign_at[workflow, frozenset(requires)] = now

    def forget(self, workflow: str) -> None:
        """Forget a workflow that is left."""
        self._used_at.pop(workflow, None)

    def workflows(self, now: float) -> list[str]:
        """Return the workflows of which there was work a moment ago."""
        return [name for name, at in self._used_at.items() if now - at < QUIET_S]

    def foreign(self, now: float) -> set[tuple[str, frozenset[str]]]:
        """Return the work for others alone of a moment ago: workflows and what it requires."""
        recent = {kind: at for kind, at in self._foreign_at.items() if now - at < QUIET_S}
        self._foreign_at = recent
        return {*recent}
