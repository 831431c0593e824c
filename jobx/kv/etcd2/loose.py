"""Units without a conditional write: they have no guard, and are written key by key.

What is removed comes last, and of that the last write: a crash leaves what leads to the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from jobx.errors import JobxError, OutcomeUnknown
from jobx.kv.etcd2.calls import List, Remove, RemoveFolder, Steps, TreeNode, Write, one, together
from jobx.kv.etcd2.names import Names
from jobx.kv.etcd2.notes import Notes
from jobx.kv.etcd2.records import RedoStep

#: No folder with fewer names than these is removed when it is empty.
_TOP: Final = 2


class LooseWriter:
    """Writes units without a guard.

    Args:
        names: The names of the keys.
        notes: What is remembered of them.
    """

    def __init__(self, names: Names, notes: Notes) -> None:
        self._names = names
        self._notes = notes

    def write(self, steps: Sequence[RedoStep]) -> Steps[None]:
        """Write a unit: what is set, what is cleared, what is removed.

        Raises:
            OutcomeUnknown: It may have been written, or a part of it.
            JobxError: Nothing of it was written.
        """
        sets, cleared, removed = (
            [step for step in steps if step.kind == kind] for kind in ("set", "clear", "remove")
        )
        try:
            yield from together([self._put(step) for step in sets])
            for step in cleared:
                yield from self._clear(step.key, set(step.kept))
            yield from together([self._drop(step.key) for step in removed[:-1]])
            yield from together([self._drop(step.key) for step in removed[-1:]])
        except JobxError as error:
            is_one = len(steps) == 1 and not cleared
            if is_one and not isinstance(error, OutcomeUnknown):
                raise
            raise OutcomeUnknown(steps[0].key, str(error)) from error

    def _put(self, step: RedoStep) -> Steps[None]:
        path = self._names.path(step.key)
        self._notes.wrote(path, (yield from one(Write(path, step.text))))

    def _drop(self, key: str) -> Steps[None]:
        path = self._names.path(key)
        self._notes.forget(path)
        if (yield from one(Remove(path))):
            yield from self.prune(path)

    def _clear(self, prefix: str, stays: set[str]) -> Steps[None]:
        folder = self._names.folder(prefix)
        is_whole = prefix.endswith("/") or (not prefix and self._names.has_root)
        if is_whole and not any(key.startswith(prefix) for key in stays):
            if (yield from one(RemoveFolder(folder, is_deep=True))):
                yield from self.prune(folder)
            return
        nodes: list[TreeNode] = yield from one(List(folder, is_deep=True))
        found = ((self._names.key(node.path), node) for node in nodes if not node.is_folder)
        gone = [key for key, _ in found if key is not None and key.startswith(prefix)]
        yield from together([self._drop(key) for key in gone if key not in stays])

    def prune(self, path: str) -> Steps[None]:
        """Remove the folders that a path was in, as long as they are empty."""
        folder = path.rpartition("/")[0]
        while self._names.depth(folder) >= _TOP:
            if not (yield from one(RemoveFolder(folder))):
                return
            folder = folder.rpartition("/")[0]
