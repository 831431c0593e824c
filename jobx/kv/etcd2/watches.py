"""A watch on v2: a list, and another one after each change."""

from __future__ import annotations

from typing import Final

from jobx.kv.etcd2.calls import List, Look
from jobx.kv.etcd2.connection import Etcd2Connection
from jobx.kv.etcd2.leases import held_in
from jobx.kv.etcd2.names import Names
from jobx.kv.leases import Holders
from jobx.kv.timed_lease import TimedWatch

#: How long a watch waits at most before it reads everything anew.
_WATCH_S: Final = 2.0


class Etcd2Watch(TimedWatch):
    """The contract of ``Watch``.

    Args:
        connection: The connection to the servers.
        names: The names of the keys.
        prefix: The prefix of the keys.
    """

    def __init__(self, connection: Etcd2Connection, names: Names, prefix: str) -> None:
        super().__init__()
        self._connection = connection
        self._names = names
        self._prefix = prefix
        self._folder = names.folder(prefix)
        #: An index of the store that is no later than what was listed.
        self._seen = 0

    def _now(self) -> Holders:
        self._seen = self._connection.make(Look(self._folder)).seen
        holders: Holders = {}
        for node in self._connection.make(List(self._folder, is_deep=True)):
            key = self._names.key(node.path)
            if key is not None and key.startswith(self._prefix):
                holders[key] = held_in(key, node)
        return holders

    def _wait(self, limit_s: float) -> None:
        limit_s = min(limit_s, _WATCH_S)
        self._connection.watch(self._folder, self._seen + 1, limit_s, is_deep=True)
