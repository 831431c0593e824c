"""How entries are read: the list of a guard is done first, and what waits for a guard is checked.

A key that waits for a guard (an open marker, an Idempotency-Key) counts once its guard is there, by
the same unit. If the guard does not come, it is created by the reader, closed, so that nobody can
begin any more; then the key is removed. A key of another unit than its guard's is removed, and so
is one that is newer than its guard: it was sent before that, and arrived after its own removal.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from msgspec import Struct

from jobx.errors import EntryDamaged, JobxError
from jobx.kv import keys
from jobx.kv.etcd2.calls import List, Look, Remove, RemoveFolder, Steps, TreeNode, Write, one
from jobx.kv.etcd2.names import Names
from jobx.kv.etcd2.notes import Notes
from jobx.kv.etcd2.records import STAYS_S, Record, decode, digest, encode
from jobx.kv.etcd2.redo import Redo
from jobx.kv.prefixes import prefix_end, span
from jobx.kv.store import Entry

#: So many times longer than an Idempotency-Key, for which a client waits, others may wait.
_UNHURRIED: Final = 30.0
#: Folders that nobody writes to once their node is gone, and that others look through.
_OF_NODES: Final = (keys.OPEN, keys.UNDELIVERED)
#: Events are written in order: one that has a successor has been done with.
_LOGS: Final = "requests/"


class Asked(Struct):
    """What a range asks for; see ``Store.range``.

    Attributes:
        damaged: Collects what cannot be read; None: that is raised.
        is_stale: A list was done on the way, so that the range may have changed.
    """

    prefix: str
    low: str
    high: str | None
    limit: int | None
    is_reverse: bool
    damaged: list[EntryDamaged] | None
    found: list[Entry] = []
    is_stale: bool = False

    @property
    def is_full(self) -> bool:
        """Whether there are enough entries."""
        return self.limit is not None and len(self.found) >= self.limit

    def has(self, key: str, is_file: bool) -> bool:
        """Tell whether a key, or one that begins with it, may be in the range."""
        if self.high is not None and key >= self.high:
            return False
        if is_file:
            return key >= self.low
        end = prefix_end(key)
        return end is None or end > self.low


class Reader:
    """Reads entries.

    Args:
        names: The names of the keys.
        notes: What is remembered of them.
        redo: Does lists.
    """

    def __init__(self, names: Names, notes: Notes, redo: Redo) -> None:
        self._names = names
        self._notes = notes
        self._redo = redo

    def get(self, key: str) -> Steps[tuple[Entry | None, int]]:
        """Return the entry of a key, and the index of the whole store at the read."""
        node: TreeNode = yield from one(Look(self._names.path(key)))
        entry = yield from self.entry(key, node)
        return entry, node.seen

    def entry(self, key: str, node: TreeNode) -> Steps[Entry | None]:
        """Return the entry in a file that was read; None if there is none."""
        while node.index:
            record = decode(key, node.text)
            yield from self._redo.finish_if_need_be(record.redo, node)
            if record.value is None and not record.is_closed and not record.is_removed:
                yield from self._redo.drop(key, node.path, node.index)
            if record.value is None:
                return None
            if not record.guard or self._notes.is_finished(node.path, node.index):
                return Entry(key, record.value, node.index)
            state = yield from self._wait_state(key, record, node)
            if state is not None:
                return Entry(key, record.value, node.index) if state else None
            node = yield from one(Look(node.path))
        return None

    def _wait_state(self, key: str, record: Record, node: TreeNode) -> Steps[bool | None]:
        """Tell whether a key counts that waits for a guard; None: it has to be read again."""
        path = self._names.path(record.guard)
        guard: TreeNode = yield from one(Look(path))
        if guard.index:
            found = decode(record.guard, guard.text)
            yield from self._redo.finish_if_need_be(found.redo, guard)
            is_mine = digest(record.guard, found.value) == record.unit and not found.is_closed
            if is_mine and node.index < guard.index:
                self._notes.finished(node.path, node.index)
                return True
            now: TreeNode = yield from one(Look(node.path))
            if now.index == node.index:
                yield from one(Remove(node.path, node.index))
            return None
        times = 1.0 if key.startswith(keys.IDEMPOTENCY) else _UNHURRIED
        if not self._notes.is_overdue(node.path, node.index, times):
            return False
        closed = encode(Record(is_closed=True))
        yield from one(Write(path, closed, 0, STAYS_S))
        return None

    def range(
        self,
        prefix: str,
        after: str | None,
        limit: int | None,
        is_reverse: bool,
        damaged: list[EntryDamaged] | None,
    ) -> Steps[list[Entry]]:
        """Return entries; see ``Store.range``."""
        while True:
            low, high = span(prefix, after, is_reverse)
            notes: list[EntryDamaged] | None = None if damaged is None else []
            asked = Asked(prefix, low, high, limit, is_reverse, notes)
            if asked.is_full:
                return []
            folder = self._names.folder(prefix)
            if limit is None:
                nodes = yield from one(List(folder, is_deep=True))
                yield from self._take(asked, nodes)
            else:
                yield from self._walk(asked, folder)
            if not asked.is_stale:
                if damaged is not None:
                    damaged += notes or []
                return asked.found

    def _walk(self, asked: Asked, folder: str) -> Steps[list[TreeNode]]:
        """Take in the entries below a folder, folder by folder, until there are enough.

        Returns:
            What is in the folder itself.
        """
        nodes: list[TreeNode] = yield from one(List(folder))
        yield from self._take(asked, nodes)
        return nodes

    def _walk_below(self, asked: Asked, key: str, folder: str) -> Steps[None]:
        """Walk through a folder that is there; one of a node that is empty need not stay.

        It is not removed if somebody has put something there meanwhile, and whoever puts something
        there later creates it again.
        """
        if not (yield from self._walk(asked, folder)) and key.startswith(_OF_NODES):
            with suppress(JobxError):  # who only reads may not be allowed to
                yield from one(RemoveFolder(folder))

    def _take(self, asked: Asked, nodes: Iterable[TreeNode]) -> Steps[None]:
        """Take in the entries of files, and what is in folders."""
        named = self._named(asked, nodes)
        for place, (key, node) in enumerate(named):
            if asked.is_full:
                return
            if node.is_folder:
                yield from self._walk_below(asked, key, node.path)
                continue
            beside = place + (-1 if asked.is_reverse else 1)
            has_next = 0 <= beside < len(named) and _is_successor(key, named[beside][0])
            try:
                entry = yield from self._read(asked, key, node, has_next)
            except EntryDamaged as error:
                _complain(asked, error)
                continue
            if entry is not None:
                asked.found.append(entry)

    def _read(self, asked: Asked, key: str, node: TreeNode, has_next: bool) -> Steps[Entry | None]:
        record = decode(key, node.text)
        if record.redo and not has_next:
            asked.is_stale |= yield from self._redo.finish_if_need_be(record.redo, node)
        if record.value is not None and not record.guard:
            return Entry(key, record.value, node.index)
        return (yield from self.entry(key, node))

    def _named(self, asked: Asked, nodes: Iterable[TreeNode]) -> list[tuple[str, TreeNode]]:
        """Return the nodes of a range with their keys, in its order."""
        named = []
        for node in nodes:
            key = self._names.key(node.path, not node.is_folder)
            if key is None:
                _complain(asked, EntryDamaged(repr(node.path), "JobX did not write it"))
            elif asked.has(key, not node.is_folder):
                named.append((key, node))
        return sorted(named, key=lambda one: one[0], reverse=asked.is_reverse)


def _is_successor(key: str, other: str) -> bool:
    """Tell whether another key is a later event of a log."""
    is_log = key.startswith(_LOGS)
    return is_log and other > key and other.rpartition("/")[0] == key.rpartition("/")[0]


def _complain(asked: Asked, error: EntryDamaged) -> None:
    if asked.damaged is None:
        raise error
    asked.damaged.append(error)
