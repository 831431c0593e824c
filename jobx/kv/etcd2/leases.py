"""Leases on v2: keys that live for a time, and live on when they are renewed.

A server looks for keys that have run out twice a second. It goes by its wall clock.
"""

from __future__ import annotations

import time
from typing import Final

from jobx.errors import InUse, OutcomeUnknown, StoreUnavailable
from jobx.kv.etcd2.calls import List, Look, Node, Remove, Write
from jobx.kv.etcd2.connection import Etcd2Connection
from jobx.kv.etcd2.names import Names
from jobx.kv.etcd2.records import Record, decode, encode
from jobx.kv.leases import Held, Holders
from jobx.kv.leases import decode as decode_held
from jobx.kv.leases import encode as encode_held
from jobx.kv.timed_lease import TimedLease

#: How long a watch waits at most before it reads everything anew.
_WATCH_S: Final = 2.0


class Etcd2Lease(TimedLease):
    """The contract of ``Lease``.

    Args:
        connection: The connection to the servers.
        path: The path of the key.
        name: The key, for people.
        held: The holder, and the text to show at first.
        ttl_s: The time after which it is lost; v2 counts whole seconds.
    """

    def __init__(
        self, connection: Etcd2Connection, path: str, name: str, held: Held, ttl_s: float
    ) -> None:
        super().__init__(name, held, ttl_s)
        self._connection = connection
        self._path = path
        #: The index of the key while it is held, else 0.
        self._index = 0

    def _drop(self) -> None:
        dropped, self._index = self._index, 0
        if dropped:
            self._connection.make(Remove(self._path, dropped))

    def _keep(self) -> bool:
        """See ``TimedLease._keep``. An answer that was lost is read back."""
        if not self._index:
            return False
        if self._write(self._index):
            return True
        node: Node = self._connection.make(Look(self._path))
        mine = self._held.term
        if node.index == 0 or _held(self._name, node).term != mine:
            return False
        return self._write(node.index)

    def _take(self) -> None:
        self._index, self._is_shown = 0, False
        self._held = self._held.anew()
        node = Node(self._path)
        while not self._write(node.index):
            node = self._connection.make(Look(self._path))
            if node.index and (other := _held(self._name, node).holder) != self._held.holder:
                raise InUse("lease", self._name, other)

    def _write(self, index: int) -> bool:
        """Write the key if it has this index; without a new text nobody hears of it."""
        text = encode(Record(encode_held(self._held)))
        is_refresh = self._is_shown
        call = Write(self._path, text, index, self._ttl_s, is_refresh)
        try:  # one that is not answered leaves time for the next one
            written = self._connection.make(call, self._ttl_s / 3)
        except OutcomeUnknown as error:
            raise StoreUnavailable(str(error)) from error
        if written:
            self._index, self._is_shown = written, True
        return bool(written)


class Etcd2Watch:
    """The contract of ``Watch``: a list, and another one after each change.

    Args:
        connection: The connection to the servers.
        names: The names of the keys.
        prefix: The prefix of the keys.
    """

    def __init__(self, connection: Etcd2Connection, names: Names, prefix: str) -> None:
        self._connection = connection
        self._names = names
        self._prefix = prefix
        self._folder = names.folder(prefix)
        self._last: Holders | None = None

    def next(self, timeout_s: float) -> Holders | None:
        """See ``Watch.next``."""
        deadline = time.monotonic() + timeout_s
        while True:
            holders, seen = self._list()
            if holders != self._last:
                self._last = holders
                return dict(holders)
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return None
            limit_s = min(left_s, _WATCH_S)
            self._connection.watch(self._folder, seen + 1, limit_s, is_deep=True)

    def _list(self) -> tuple[Holders, int]:
        """Return who holds what, and an index of the store that is no later."""
        seen = self._connection.make(Look(self._folder)).seen
        holders: Holders = {}
        for node in self._connection.make(List(self._folder, is_deep=True)):
            key = self._names.key(node.path)
            if key is not None and key.startswith(self._prefix):
                holders[key] = _held(key, node)
        return holders, seen


def _held(key: str, node: Node) -> Held:
    return decode_held(decode(key, node.text).value or b"")
