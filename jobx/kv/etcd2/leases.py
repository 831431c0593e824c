"""Leases on v2: keys that live for a time, and live on when they are renewed.

A server looks for keys that have run out twice a second. It goes by its wall clock.
"""

from __future__ import annotations

import math
import threading
import time
from contextlib import suppress
from typing import Final

from jobx.errors import InUse, JobxError, OutcomeUnknown, StoreUnavailable
from jobx.kv.etcd2.calls import List, Look, Node, Remove, Write
from jobx.kv.etcd2.connection import Etcd2Connection
from jobx.kv.etcd2.names import Names
from jobx.kv.etcd2.records import Record, decode, encode
from jobx.kv.leases import Held, Holders
from jobx.kv.leases import decode as decode_held
from jobx.kv.leases import encode as encode_held

#: How often it is looked whether the holder before has lost the lease.
_LOOK_S: Final = 0.25
#: So much later than it should a server removes a key.
_LATE_S: Final = 1.5
#: How long a watch waits at most before it reads everything anew.
_WATCH_S: Final = 2.0


class Etcd2Lease:
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
        self._connection = connection
        self._path = path
        self._name = name
        self._held = held
        self._ttl_s = math.ceil(ttl_s)
        #: The index of the key while it is held, else 0; and whether it shows the text.
        self._index, self._is_shown = 0, False
        #: Held by each change of the lease: a renewal must not follow the release.
        self._lock = threading.Lock()
        self._is_released = False

    def acquire(self) -> None:
        """See ``Lease.acquire``."""
        deadline = time.monotonic() + self._ttl_s + _LATE_S
        self._is_released = False
        while True:
            try:
                with self._lock:
                    return self._take()
            except InUse:
                if time.monotonic() > deadline:
                    raise
            time.sleep(_LOOK_S)

    def renew(self, value: str | None = None) -> bool:
        """See ``Lease.renew``."""
        with self._lock:
            if value is not None and value != self._held.value:
                self._held = self._held.showing(value)
                self._is_shown = False
            if self._is_released:
                return True
            is_kept = self._index > 0 and self._keep()
            if not is_kept:
                self._take()
            return is_kept

    def release(self) -> None:
        """See ``Lease.release``."""
        with self._lock:
            self._is_released = True
            if self._index:
                with suppress(JobxError):  # it runs out soon
                    self._connection.make(Remove(self._path, self._index))
                self._index = 0

    def _keep(self) -> bool:
        """Renew it; return whether it was still held. An answer that was lost is read back."""
        if self._write(self._index):
            return True
        node: Node = self._connection.make(Look(self._path))
        mine = self._held.term
        if node.index == 0 or _held(self._name, node).term != mine:
            return False
        return self._write(node.index)

    def _take(self) -> None:
        """Write the key if it is free, or if this holder had it before."""
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
