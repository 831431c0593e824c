"""Commits chains of writes, each of which gets an outcome, whatever happens.

A conditional write recognises itself: if its key has exactly its bytes, it was written, even if the
answer was lost.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from jobx.errors import Conflict, EntryDamaged, InternalError, JobxError, OutcomeUnknown
from jobx.kv.large_events import as_stored, is_event
from jobx.kv.store import STORE_FAULTS, Chain, CommitOutcome, Create, Store, Unit

_log = logging.getLogger(__name__)


def commit(store: Store, chains: Sequence[Chain]) -> list[CommitOutcome]:
    """Commit chains and return the outcome of each; raises nothing. Blocks.

    The last write of each unit identifies its writer, because nobody ever rewrites its key. An
    error that is not of the store concerns one chain, so each chain is then tried alone.
    """
    try:
        outcomes = store.commit_many(chains)
    except STORE_FAULTS as error:
        return [CommitOutcome(0, error)] * len(chains)
    except Exception:  # noqa: BLE001 - what was accepted must not wait for ever because of it
        _log.exception("a commit failed")
        outcomes = [_commit_alone(store, chain) for chain in chains]
    return [_settled(store, *found) for found in zip(chains, outcomes, strict=True)]


def _commit_alone(store: Store, chain: Chain) -> CommitOutcome:
    try:
        return store.commit_many([chain])[0]
    except JobxError as error:
        return CommitOutcome(0, error)
    except Exception as error:  # noqa: BLE001 - see above
        _log.exception("a commit failed")
        return CommitOutcome(0, InternalError(f"a commit failed: {error!r}"))


def _settled(store: Store, chain: Chain, outcome: CommitOutcome) -> CommitOutcome:
    """Return an outcome without conflicts between a chain and its own earlier writes."""
    while isinstance(outcome.error, Conflict):
        try:
            if not _is_written(store, chain[outcome.done]):
                return outcome
        except EntryDamaged:  # a later look would find the same
            return outcome
        except JobxError as error:
            return CommitOutcome(outcome.done, OutcomeUnknown(outcome.error.args[0], str(error)))
        done = outcome.done + 1
        if done == len(chain):
            return CommitOutcome(done)
        rest = _commit_alone(store, chain[done:])
        outcome = CommitOutcome(done + rest.done, rest.error)
    return outcome


def _is_written(store: Store, unit: Unit) -> bool:
    mine = unit[-1]
    if not isinstance(mine, Create):
        return False
    entry = as_stored(store, mine.key)
    return entry is not None and is_event(entry.value, mine)
