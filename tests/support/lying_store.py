"""Stores that do not do as told: what was done is not answered, and what is answered not done."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

from jobx.errors import (
    InternalError,
    OutcomeUnknown,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
    TooLarge,
)
from jobx.kv.sqlite.store import SqliteStore
from jobx.kv.store import Chain, CommitOutcome
from jobx.kv.write_batch import name_of

#: What a commit may end with beside the truth.
Lie: TypeAlias = Literal[
    "done, unanswered", "lost, unanswered", "too large", "full", "refused", "silent", "slow", "bug"
]
LIES: tuple[Lie, ...] = Lie.__args__  # type: ignore[attr-defined]  # of a Literal

_UNANSWERED = OutcomeUnknown("the store", "no answer came")
_RAISED: dict[str, Exception] = {
    "lost, unanswered": _UNANSWERED,
    "full": StoreFull("the store", "no room"),
    "refused": StoreRefused("the store", "it is read-only"),
    "silent": StoreUnavailable("the store does not answer"),
}


class Lies:
    """Which commits of events go wrong, and how; for one request at a time.

    Attributes:
        events: Commits that brought events so far.
        due: What happens to the commits that come, by their number. A ``"bug"`` is there again
            when the same is committed alone.
        is_dead: Nothing can be written at all.
    """

    def __init__(self, due: dict[int, Lie]) -> None:
        self.events = 0
        self.due = dict(due)
        self.is_dead = False
        self._tried_alone: set[int] = set()

    def tell(
        self, commit: Callable[[Sequence[Chain]], list[CommitOutcome]], chains: Sequence[Chain]
    ) -> list[CommitOutcome]:
        """Commit chains, or not, and answer, or not."""
        if self.is_dead:
            raise _RAISED["refused"]
        if not any(map(_has_event, chains)):
            return commit(chains)
        lie = self.due.pop(self.events, None)
        self.events += 1
        if lie == "slow":
            time.sleep(0.2)
        elif lie == "done, unanswered":
            commit(chains)
            raise _UNANSWERED
        elif lie == "bug":
            if self.events - 1 not in self._tried_alone:
                self.due[self.events] = lie
                self._tried_alone.add(self.events)
            raise ZeroDivisionError(InternalError.code)
        elif lie == "too large":
            return [CommitOutcome(0, TooLarge("an event", "many bytes", "may have few"))] * len(
                chains
            )
        elif lie is not None:
            raise _RAISED[lie]
        return commit(chains)


def _has_event(chain: Chain) -> bool:
    return any("/log/" in name_of(write) for unit in chain for write in unit)


def lying_sqlite(lies: Lies) -> Callable[..., SqliteStore]:
    """Return what opens a SQLite store that lies."""

    class LyingSqliteStore(SqliteStore):
        def commit_many(self, chains: Sequence[Chain]) -> list[CommitOutcome]:
            return lies.tell(super().commit_many, chains)

    return lambda settings, *_: LyingSqliteStore(settings.store_path)


def open_markers(store: Any) -> list[str]:
    """Return what the store says is open."""
    return [entry.key for entry in store.range("open/")]
