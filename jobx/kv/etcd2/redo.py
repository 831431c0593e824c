"""The writes of a unit that follow its guard. Whoever reads a guard does them, if nobody has.

Each is conditional: it leaves alone what is newer than the guard. So it does not matter how often,
and how late, they are done, except that a key that somebody removed again may come back. Keys of
requests only say that there is something to look at; an entity has to be deleted again.
"""

from __future__ import annotations

from collections.abc import Sequence

from jobx.kv import keys
from jobx.kv.etcd2.calls import List, Look, Remove, Steps, TreeNode, Write, one, together
from jobx.kv.etcd2.names import Names
from jobx.kv.etcd2.notes import Notes
from jobx.kv.etcd2.records import RedoStep


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
        open marker is gone shows that all was done; what was set may have been removed since.

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
        markers = [step.key for step in removed if step.key.startswith(keys.OPEN)]
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
            return not 0 < node.index < index
        return bool(node.index > index)

    def _do(self, step: RedoStep, index: int) -> Steps[None]:
        path = self._names.path(step.key)
        if step.kind == "set":
            yield from self._set(path, step.text, index)
        elif step.kind == "remove":
            yield from self._remove(path, index)
        else:
            old = yield from self._old(step, index)
            yield from together([self._remove(node.path, index) for node in old])

    def _set(self, path: str, text: str, index: int) -> Steps[None]:
        known = self._notes.index(path)
        while known < index:
            written = yield from one(Write(path, text, known))
            if written:
                self._notes.wrote(path, written)
                return
            known = (yield from one(Look(path))).index

    def _remove(self, path: str, index: int) -> Steps[None]:
        known = self._notes.index(path)
        self._notes.forget(path)
        while known < index:
            if known and (yield from one(Remove(path, known))):
                return
            known = (yield from one(Look(path))).index
            if known == 0:
                return

    def _old(self, step: RedoStep, index: int) -> Steps[list[TreeNode]]:
        """Return the files with a prefix that are older than the guard and do not stay."""
        kept = {self._names.path(key) for key in step.kept}
        nodes: list[TreeNode] = yield from one(List(self._names.folder(step.key), is_deep=True))
        return [
            node
            for node in nodes
            if node.index < index
            and node.path not in kept
            and not node.is_folder
            and (self._names.key(node.path) or "").startswith(step.key)
        ]


def _stages(steps: Sequence[RedoStep]) -> list[list[RedoStep]]:
    """Return what is done together, in order; that the last ones are done shows that all are.

    That an open marker is gone shows it alone, so all that is set before it goes out together.
    """
    removed = [step for step in steps if step.kind == "remove"]
    sets = [step for step in steps if step.kind == "set"]
    cleared = [step for step in steps if step.kind == "clear"]
    if any(step.key.startswith(keys.OPEN) for step in removed):
        return [cleared, sets, removed]
    return [cleared + sets[:-1], sets[-1:], removed]
