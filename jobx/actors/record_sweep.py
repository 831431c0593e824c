"""Removes records that outlive what they are of, a piece at a time.

These are the tokens of deleted workflows, the lives of nodes that left, and what was asked of such
nodes. A record is read before it is looked whether anything needs it, and goes only if it has not
changed since. So whoever comes back meanwhile keeps its record, or finds none and writes a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Final

from jobx.errors import Conflict, EntryDamaged
from jobx.kv import keys
from jobx.kv.prefixes import scan
from jobx.kv.requests import indexing, lives
from jobx.kv.requests.lives import Life
from jobx.kv.store import Delete, Entry, Store, Unit, Write

#: Records of each kind that one round looks at.
PIECE: Final = 100
#: How long the life of a node stays that is gone and has left nothing open.
LEFT_S: Final = 7 * 86_400.0


class RecordSweep:
    """Looks through all records over and over; for one thread.

    Args:
        store: Where they are.
        node_id: This node, which is there.
        is_chosen: Tells whether this node is the one that sweeps.
        now_at: The service clock.
    """

    def __init__(
        self,
        store: Store,
        node_id: str,
        is_chosen: Callable[[], bool],
        now_at: Callable[[], float],
    ) -> None:
        self._store = store
        self._node_id = node_id
        self._is_chosen = is_chosen
        self._now_at = now_at
        #: The key up to which the records of each prefix were looked at in this pass.
        self._after: dict[str, str] = {}

    def sweep(self) -> int:
        """Do one round, if this node is the one that sweeps; return how many records were removed.

        Raises:
            JobxError: The store failed; the next round goes on.
        """
        if not self._is_chosen():
            return 0
        units = [*self._tokens(), *self._of_nodes()]
        outcomes = self._store.commit_many([[unit] for unit in units]) if units else []
        removed = 0
        for unit, outcome in zip(units, outcomes, strict=True):
            if outcome.error is None:
                removed += isinstance(unit[0], Delete)
            elif not isinstance(outcome.error, Conflict):  # that one is needed again
                raise outcome.error
        return removed

    def _piece(self, prefix: str) -> list[Entry]:
        """Return the next records with a prefix; those that cannot be read stay for people."""
        found = self._store.range(prefix, after=self._after.get(prefix), limit=PIECE, damaged=[])
        self._after.pop(prefix, None)
        if len(found) == PIECE:
            self._after[prefix] = found[-1].key
        return found

    def _tokens(self) -> Iterator[Unit]:
        """Yield the removals of the tokens of deleted workflows.

        A new workflow of the name gets a random token, as every change does.
        """
        after = self._after.get(keys.ENTITIES_STATE, "").removeprefix(keys.ENTITIES_STATE)
        tokens = {
            entry.key.removeprefix(keys.ENTITIES_STATE): entry
            for entry in self._piece(keys.ENTITIES_STATE)
        }
        if tokens:
            there = self._workflows(after, max(tokens))
            gone = (entry for name, entry in tokens.items() if name not in there)
            yield from ([Delete(entry.key, entry.revision)] for entry in gone)

    def _workflows(self, after: str, last: str) -> set[str]:
        """Return the workflows behind a name, at least those up to another one."""
        damaged: list[EntryDamaged] = []
        found = scan(
            self._store,
            keys.entities("workflow"),
            after=keys.workflow(after) if after else None,
            page=PIECE,
            damaged=damaged,
        )
        names = [one.key for one in takewhile(lambda one: one.key <= keys.workflow(last), found)]
        names += [str(error.args[0]) for error in damaged]
        return {name.removeprefix(keys.entities("workflow")) for name in names}

    def _of_nodes(self) -> Iterator[Unit]:
        """Yield what becomes of the records of nodes."""
        of_lives = self._piece(keys.life(""))
        asked = [*self._piece(keys.CALLS), *self._piece(keys.REPORTS)]
        leases = self._store.range(keys.node(""), damaged=[])
        there = {entry.key.removeprefix(keys.node("")) for entry in leases} | {self._node_id}
        yield from (
            [Delete(entry.key, entry.revision)]
            for entry in asked
            if entry.key.split("/")[1] not in there
        )
        for entry in of_lives:
            node_id = entry.key.removeprefix(keys.life(""))
            life = lives.read(entry)
            if life is not None:
                yield from self._of_life(entry, life, node_id, is_there=node_id in there)

    def _of_life(self, entry: Entry, life: Life, node_id: str, *, is_there: bool) -> Iterator[Unit]:
        """Yield what becomes of a life.

        Who is there is no longer gone. Since when others are is noted in the store: another node
        may sweep tomorrow.
        """
        now_at = self._now_at()
        left_at = 0.0 if is_there else life.left_at
        if not (is_there or 0.0 < left_at <= now_at):  # later than now: by another clock
            left_at = now_at
        if left_at != life.left_at:
            yield [lives.leave(entry, left_at)]
        elif left_at and now_at >= left_at + LEFT_S and not lives.has_open(self._store, node_id):
            gone: list[Write] = [Delete(entry.key, entry.revision)]
            if life.form < lives.FORM:  # only its record tells that its requests need indexing
                gone.append(indexing.anew())
            yield gone
