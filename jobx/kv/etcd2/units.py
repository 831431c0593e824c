"""How a unit is written without a transaction.

1. What it demands of other keys than its guard is read.
2. Idempotency-Keys and the open marker of a new request are written; they wait for the guard (see
   ``reading``), which is the first event and never rewritten. A marker that moves to another node
   does not wait: the old one leads to the guard until the new one is there.
3. The guard is written, on its condition: the key of the last conditional write. With it the unit
   is there. Its record carries all other writes.
4. Those follow. If they do not, whoever reads the guard next does them.

So of two units that must exclude each other, the last conditional write must be of the same key. A
unit without a conditional write has no guard (see ``loose``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from msgspec import Struct

from jobx.errors import Conflict, JobxError, OutcomeUnknown
from jobx.kv import keys
from jobx.kv.etcd2.calls import (
    Look,
    Pause,
    Remove,
    Steps,
    TreeNode,
    Write,
    one,
    together,
)
from jobx.kv.etcd2.loose import LooseWriter
from jobx.kv.etcd2.names import Names
from jobx.kv.etcd2.notes import Notes
from jobx.kv.etcd2.reading import Reader
from jobx.kv.etcd2.records import Record, RedoStep, decode, digest, encode
from jobx.kv.etcd2.redo import Redo
from jobx.kv.net_effect import Played, play
from jobx.kv.store import Unit

#: Written before the guard: what leads to it after a crash, and what no two units may have.
_FIRST: Final = (keys.OPEN, keys.IDEMPOTENCY)
#: They follow from an event of their request, so nothing is asked about them.
_FOLLOWING: Final = (keys.entities("request"), keys.KEPT, keys.LISTED)
#: How often a key is looked at that waits for a guard.
_LOOK_S: Final = 0.05


class UnitWrites(Struct, frozen=True):
    """What is written of a unit, and when.

    Attributes:
        asked: The revision that each key must have, 0: it must not exist; of other keys than those
            that are written first, those that follow from an event, and the guard.
        first: What is written before the guard.
        taken: The keys of those that must not exist.
        guard: The key of the guard, None if there is none.
        revision: The revision that it must have.
        value: Its value; None if it is removed.
        rest: What follows.
    """

    asked: dict[str, int]
    first: dict[str, bytes]
    taken: frozenset[str]
    guard: str | None
    revision: int
    value: bytes | None
    rest: tuple[RedoStep, ...]


def writes_of(played: Played) -> UnitWrites:
    """Return what is written of a unit that has this net effect, and when."""
    guard = next(reversed(played.conditions), None)
    left = {key: value for key, value in played.left.items() if key != guard}
    is_moved = any(key.startswith(keys.OPEN) and value is None for key, value in left.items())
    first = {
        key: value
        for key, value in left.items()
        if guard is not None
        and not is_moved
        and value is not None
        and key.startswith(_FIRST)
        and not played.conditions.get(key)
    }
    asked = {
        key: revision
        for key, revision in played.conditions.items()
        if key != guard and key not in first and not key.startswith(_FOLLOWING)
    }
    rest = {key: value for key, value in left.items() if key not in first}
    value = None if guard is None else played.left.get(guard)
    revision = 0 if guard is None else played.conditions[guard]
    stays = tuple(key for key, kept in played.left.items() if kept is not None)
    steps = tuple(_steps(rest, played.prefixes, stays))
    taken = frozenset(first.keys() & played.conditions.keys())
    return UnitWrites(asked, first, taken, guard, revision, value, steps)


def _steps(
    left: dict[str, bytes | None], prefixes: list[str], stays: tuple[str, ...]
) -> Iterator[RedoStep]:
    """Yield the writes after the guard.

    That the last ones are done shows that all are (see ``Redo.finish_if_need_be``).
    """
    for prefix in prefixes:
        yield RedoStep("clear", prefix, kept=tuple(key for key in stays if key.startswith(prefix)))
    for key, value in left.items():
        if value is not None:
            yield RedoStep("set", key, encode(Record(value)))
    yield from (RedoStep("remove", key) for key, value in left.items() if value is None)


class UnitWriter:
    """Writes units.

    Args:
        names: The names of the keys.
        notes: What is remembered of them.
        reader: Reads entries.
        redo: Does lists.
    """

    def __init__(self, names: Names, notes: Notes, reader: Reader, redo: Redo) -> None:
        self._names = names
        self._notes = notes
        self._reader = reader
        self._redo = redo
        self._loose = LooseWriter(names, notes)

    def write(self, unit: Unit) -> Steps[Conflict | None]:
        """Write a unit; return why it was not written, None if it was.

        Raises:
            OutcomeUnknown: It may have been written.
            JobxError: It was not written.
        """
        played = play(unit)
        wanted = writes_of(played)
        if played.refused is not None:
            broken = yield from self._broken(played.conditions)
            return Conflict(broken or played.refused)
        if wanted.guard is None:
            yield from self._loose.write(wanted.rest)
            return None
        broken = yield from self._broken(wanted.asked)
        if broken is None:
            broken = yield from self._write_guarded(wanted, wanted.guard)
        return None if broken is None else Conflict(broken)

    def _broken(self, asked: dict[str, int]) -> Steps[str | None]:
        """Return the first key that does not have the revision that it must have."""
        found = yield from together([self._reader.get(key) for key in asked])
        for (key, revision), (entry, _) in zip(asked.items(), found, strict=True):
            if (entry.revision if entry else 0) != revision:
                return key
        return None

    def _write_guarded(self, wanted: UnitWrites, guard: str) -> Steps[str | None]:
        """Write a unit with a guard; return the key whose condition did not hold."""
        unit = digest(guard, wanted.value)
        mine: dict[str, int] = {}
        try:
            broken, more = yield from self._write_all_first(wanted, guard, unit, mine)
            if broken is None:
                steps = (*more, *wanted.rest)
                broken = yield from self._write_guard_and_rest(wanted, guard, steps)
        except OutcomeUnknown as error:
            raise OutcomeUnknown(guard, error.args[1]) from error
        except JobxError:
            yield from self._take_back(mine, guard, unit)
            raise
        if broken is not None:
            yield from self._take_back(mine, guard, unit)
        return broken

    def _write_all_first(
        self, wanted: UnitWrites, guard: str, unit: str, mine: dict[str, int]
    ) -> Steps[tuple[str | None, list[RedoStep]]]:
        """Write what waits for the guard, and put the indexes of what is new into ``mine``.

        Returns:
            The key that another unit has, if there is one, and what is to follow the guard instead.
        """
        more: list[RedoStep] = []
        for key in sorted(wanted.first, key=lambda key: key not in wanted.taken):
            record = Record(wanted.first[key], unit=unit, guard=guard)
            index = yield from self._write_first(key, record, key in wanted.taken)
            if index > 0:
                mine[key] = index
            elif index == 0 and key in wanted.taken:
                return key, []
            elif index == 0:  # there is one already that leads to the guard
                more.append(RedoStep("set", key, encode(Record(wanted.first[key]))))
        return None, more

    def _write_first(self, key: str, record: Record, must_be_new: bool) -> Steps[int]:
        """Write a key that waits for its guard, if it is free.

        Returns:
            Its index; 0 if it is not free, -1 if an earlier try of the unit has written it.
        """
        path, text = self._names.path(key), encode(record)
        while True:
            index: int = yield from one(Write(path, text, 0))
            if index:
                self._notes.wrote(path, index)
                return index
            node: TreeNode = yield from one(Look(path))
            if node.index and node.text == text:
                return -1
            if node.index and not must_be_new:
                return 0
            if (yield from self._reader.entry(key, node)) is not None:
                return 0
            yield from one(Pause(_LOOK_S))

    def _take_back(self, mine: dict[str, int], guard: str, unit: str) -> Steps[None]:
        """Remove what waits for a guard, unless an earlier try of the unit has written that."""
        with suppress(JobxError):
            entry = (yield from self._reader.get(guard))[0] if mine else None
            if entry is not None and digest(guard, entry.value) == unit:
                return
            for key, index in mine.items():
                yield from one(Remove(self._names.path(key), index))

    def _write_guard_and_rest(
        self, wanted: UnitWrites, guard: str, steps: tuple[RedoStep, ...]
    ) -> Steps[str | None]:
        path, revision = self._names.path(guard), wanted.revision
        if wanted.value is None and revision and not steps:
            if not (yield from self._redo.drop(guard, path, revision)):
                return guard
            yield from self._prune(guard, steps)
            return None
        text = encode(Record(wanted.value, redo=steps))
        index = yield from self._write_guard(guard, text, revision)
        if not index:
            return guard
        try:
            yield from self._redo.finish(steps, path, index)
            if wanted.value is None:
                yield from self._redo.drop(guard, path, index)
        except JobxError as error:
            raise OutcomeUnknown(guard, f"it is written, but not all with it: {error}") from error
        if wanted.value is None:
            yield from self._prune(guard, steps)
        return None

    def _prune(self, guard: str, steps: tuple[RedoStep, ...]) -> Steps[None]:
        """Remove the folders that are empty now, of a unit that removes its guard.

        Others write again soon where they have removed something, such as the open marker of a
        request that ends, so their folders stay.
        """
        removed = [guard, *(step.key for step in steps if step.kind == "remove")]
        folders = {self._names.path(key).rpartition("/")[0] for key in removed}
        folders |= {self._names.folder(step.key) for step in steps if step.kind == "clear"}
        with suppress(JobxError):
            yield from together([self._loose.prune(f"{folder}/") for folder in sorted(folders)])

    def _write_guard(self, guard: str, text: str, revision: int) -> Steps[int]:
        """Write the guard on its condition; return its index, or 0."""
        path, expected = self._names.path(guard), revision
        while True:
            index: int = yield from one(Write(path, text, expected))
            if index:
                self._notes.wrote(path, index)
                return index
            node: TreeNode = yield from one(Look(path))
            entry = yield from self._reader.entry(guard, node)
            found = decode(guard, node.text)
            if revision or found.is_closed or entry is not None:
                return 0
            expected = node.index if found.is_removed else 0
            if not found.is_removed:
                yield from one(Pause(_LOOK_S))  # something is there that soon will not be
