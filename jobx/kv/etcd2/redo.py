"""The writes of a unit that follow its guard. Whoever reads a guard does them, if nobody has.

Each is conditional: it leaves alone what is newer than the guard. So it does not matter how often,
and how late, they are done, except that a key that somebody removed again may come back. Keys of
requests only say that there is something to look at. An entity must not come back: what removes it
leaves a record in its place for a day, which is newer than what is late. Nor must a change of a
counter, which would count twice: its record stays for as long as the guard may not be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from jobx.kv import keys
from jobx.kv.etcd2.calls import List, Look, Remove, Steps, TreeNode, Write, one, together
from jobx.kv.etcd2.names import Names
from jobx.kv.etcd2.notes import Notes
from jobx.kv.etcd2.records import REMOVED, STAYS_S, RedoStep

#: How long a change that was counted leaves a record. Many end in that time, and each look for
#: changes reads all records; a living node reads the guards of a dead one several times in it.
COUNTED_S: Final = 120
_REQUEST: Final = keys.entities("request")


class Redo:
    """Does redo lists.

    Args:
        names: The names of the keys.
        notes: What is remembered of them.
    """

    def __init__(self, names: Names, notes: Notes) -> None:
        self._names = names
        self._notes = notes

    def finish(self, steps: Sequence[RedoStep], guard: str, index: int) -> Steps[None]:
        """Do a list: what is set and cleared, then what shows that this is done, then the removals.

        What is removed leads to the guard, such as an open marker, so it stays until then. That an
        open marker or the entity of a request is gone shows that all was done; what was set may
        have been removed since.

        Args:
            steps: The list.
            guard: The path of the guard.
            index: Its index.
        """
        for stage in _stages(steps):
            yield from together([self._do(step, index) for step in stage])
        self._notes.finished(guard, index)

    def finish_if_need_be(self, steps: Sequence[RedoStep], guard: TreeNode) -> Steps[bool]:
        """Do a list unless it is done; return whether it was not."""
        if not steps or self._notes.is_finished(guard.path, guard.index):
            return False
        if (yield from self._is_complete(steps, guard.index)):
            self._notes.finished(guard.path, guard.index)
            return False
        yield from self.finish(steps, guard.path, guard.index)
        return True

    def _is_complete(self, steps: Sequence[RedoStep], index: int) -> Steps[bool]:
        """Tell whether a list is done."""
        first, last, removed = _stages(steps)
        markers = [step.key for step in removed if step.key.startswith((keys.OPEN, _REQUEST))]
        left = yield from together([one(Look(self._names.path(key))) for key in markers])
        if markers and not any(node.index for node in left):
            return True
        signs = [*last, *removed] or first
        return all((yield from together([self._is_done(step, index) for step in signs])))

    def _is_done(self, step: RedoStep, index: int) -> Steps[bool]:
        if step.kind == "clear":
            return not (yield from self._old(step, index))
        node = yield from one(Look(self._names.path(step.key)))
        if step.kind == "remove":
            return not 0 < node.index < index or node.text == REMOVED
        return bool(node.index > index)

    def _do(self, step: RedoStep, index: int) -> Steps[None]:
        if step.kind == "set":
            yield from self._set(self._names.path(step.key), step.text, index)
        elif step.kind == "remove":
            yield from self._remove(step.key, index)
        else:
            old = yield from self._old(step, index)
            yield from together([self._remove(key, index) for key in old])

    def drop(self, key: str, path: str, index: int) -> Steps[bool]:
        """Remove a key if it has this index; return whether it had. Of an entity a record stays."""
        return bool((yield from one(_removal(key, path, index))))

    def _set(self, path: str, text: str, index: int) -> Steps[None]:
        known = self._notes.index(path)
        while known < index:
            written = yield from one(Write(path, text, known))
            if written:
                self._notes.wrote(path, written)
                return
            known = (yield from one(Look(path))).index

    def _remove(self, key: str, index: int) -> Steps[None]:
        path = self._names.path(key)
        known = self._notes.index(path)
        self._notes.forget(path)
        while known < index:
            if known and (yield from self.drop(key, path, known)):
                return
            node: TreeNode = yield from one(Look(path))
            known = node.index
            if known == 0 or node.text == REMOVED:
                return

    def _old(self, step: RedoStep, index: int) -> Steps[list[str]]:
        """Return the keys with a prefix that are older than the guard and do not stay."""
        nodes: list[TreeNode] = yield from one(List(self._names.folder(step.key), is_deep=True))
        old = [
            self._names.key(node.path)
            for node in nodes
            if node.index < index and node.text != REMOVED and not node.is_folder
        ]
        return [key for key in old if key and key.startswith(step.key) and key not in step.kept]


def _removal(key: str, path: str, index: int) -> Write | Remove:
    """Return the call that removes a key, if it has this index."""
    if key.startswith(keys.UNCOUNTED):
        return Write(path, REMOVED, index, COUNTED_S)
    is_entity = key.startswith(keys.ENTITIES) and not key.startswith(_REQUEST)
    return Write(path, REMOVED, index, STAYS_S) if is_entity else Remove(path, index)


def _stages(steps: Sequence[RedoStep]) -> list[list[RedoStep]]:
    """Return what is done together, in order; that the last ones are done shows that all are.

    That an open marker or the entity of a request is gone shows it alone. So all that is set before
    a marker goes out together, and an entity goes behind all others.
    """
    removed = [step for step in steps if step.kind == "remove"]
    sets = [step for step in steps if step.kind == "set"]
    cleared = [step for step in steps if step.kind == "clear"]
    if any(step.key.startswith(keys.OPEN) for step in removed):
        return [cleared, sets, removed]
    entities = [step for step in removed if step.key.startswith(_REQUEST)]
    if entities:
        others = [step for step in removed if step not in entities]
        return [cleared + sets, others, entities]
    return [cleared + sets[:-1], sets[-1:], removed]
