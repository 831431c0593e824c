"""Leases on v2: keys that live for a time, and live on when they are renewed.

A server looks for keys that have run out twice a second. It goes by its wall clock.
"""

from __future__ import annotations

from jobx.errors import InUse, OutcomeUnknown, StoreUnavailable
from jobx.kv.etcd2.calls import Look, Remove, TreeNode, Write
from jobx.kv.etcd2.connection import Etcd2Connection
from jobx.kv.etcd2.records import Record, decode, encode
from jobx.kv.leases import Held
from jobx.kv.leases import decode as decode_held
from jobx.kv.leases import encode as encode_held
from jobx.kv.timed_lease import TimedLease


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
        node: TreeNode = self._connection.make(Look(self._path))
        mine = self._held.term
        if node.index == 0 or held_in(self._name, node).term != mine:
            return False
        return self._write(node.index)

    def _take(self) -> None:
        self._index, self._is_shown = 0, False
        self._held = self._held.anew()
        node = TreeNode(self._path)
        while not self._write(node.index):
            node = self._connection.make(Look(self._path))
            if node.index and (other := held_in(self._name, node).holder) != self._held.holder:
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


def held_in(key: str, node: TreeNode) -> Held:
    """Return what a lease's key shows."""
    return decode_held(decode(key, node.text).value or b"")
