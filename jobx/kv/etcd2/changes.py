"""Following keys on v2: one call waits for each change."""

from __future__ import annotations

from typing import Final

from jobx.kv.changes import Changed
from jobx.kv.etcd2.calls import Look
from jobx.kv.etcd2.connection import Etcd2Connection
from jobx.kv.etcd2.names import Names

#: How long one look lasts at most.
_LOOK_S: Final = 2.0


class Etcd2Changes:
    """The contract of ``Changes``.

    The servers remember the last thousand changes of the whole store; what is older is a gap.

    Args:
        connection: The connection to the servers.
        names: The names of the keys.
        prefix: The prefix of the keys, a folder of v2.
    """

    def __init__(self, connection: Etcd2Connection, names: Names, prefix: str) -> None:
        self._connection = connection
        self._names = names
        self._folder = names.folder(prefix)
        #: The last index that was seen; 0: the next look begins at the present one.
        self._index = 0

    def next(self, timeout_s: float) -> Changed:
        """See ``Changes.next``."""
        if not self._index:
            self._index = self._connection.make(Look(self._folder)).seen
            return Changed([], has_gap=True)
        limit_s = min(timeout_s, _LOOK_S)
        node = self._connection.watch(self._folder, self._index + 1, limit_s, is_deep=True)
        if node is None:
            return Changed([])
        self._index = node.index
        key = self._names.key(node.path) if node.index else None
        return Changed([] if key is None else [key])
