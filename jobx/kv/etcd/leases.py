"""Leases of etcd: an attached key disappears with its lease."""

from __future__ import annotations

import math
import threading
import time
from contextlib import suppress
from typing import Any, Final

from aetcd.rpc import rpc_pb2

from jobx.errors import InUse, JobxError
from jobx.kv.etcd.connection import EtcdConnection, Server
from jobx.kv.etcd.transactions import equal_revision

#: How often the loss of the lease by its previous holder is checked.
_LOOK_S: Final = 0.25
#: Servers check for expired leases every half second.
_LATE_S: Final = 1.5


class EtcdLease:
    """The contract of ``Lease``.

    Args:
        connection: The connection to the servers.
        key: The key, as etcd has it.
        name: The key, for people.
        holder: The name of the holder.
        ttl_s: The time after which it expires; etcd counts whole seconds.
    """

    def __init__(
        self, connection: EtcdConnection, key: bytes, name: str, holder: str, ttl_s: float
    ) -> None:
        self._connection = connection
        self._key = key
        self._name = name
        self._holder = holder.encode()
        self._ttl_s = math.ceil(ttl_s)
        self._id = 0
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

    def renew(self) -> None:
        """See ``Lease.renew``."""
        with self._lock:
            if not self._is_released and not (self._id and self._keep()):
                self._id = 0
                self._take()

    def release(self) -> None:
        """See ``Lease.release``."""
        with self._lock:
            self._is_released = True
            if self._id:
                with suppress(JobxError):  # it expires soon
                    self._call(_revoke, rpc_pb2.LeaseRevokeRequest(ID=self._id))
                self._id = 0

    def _keep(self) -> bool:
        """Renew the lease; return whether it still existed."""
        # A renewal that is not answered leaves time for the next one.
        limit_s = min(self._connection.timeout_s, self._ttl_s / 3)
        request = rpc_pb2.LeaseKeepAliveRequest(ID=self._id)
        answer = self._connection.call(_keep_alive, request, time.monotonic() + limit_s)
        return bool(answer.TTL > 0)

    def _take(self) -> None:
        """Write the key if it is free, or if this holder had it before."""
        granted = self._call(_grant, rpc_pb2.LeaseGrantRequest(TTL=self._ttl_s)).ID
        revision = 0
        while not (answer := self._write(granted, revision)).succeeded:
            items = answer.responses[0].response_range.kvs
            if items and items[0].value != self._holder:
                with suppress(JobxError):  # it expires
                    self._call(_revoke, rpc_pb2.LeaseRevokeRequest(ID=granted))
                raise InUse("lease", self._name, items[0].value.decode(errors="replace"))
            revision = items[0].mod_revision if items else 0
        self._id = granted

    def _write(self, lease: int, revision: int) -> Any:
        """Write the key if it has this revision, else read it; return the answer."""
        put = rpc_pb2.PutRequest(key=self._key, value=self._holder, lease=lease)
        request = rpc_pb2.TxnRequest(
            compare=[equal_revision(self._key, revision)],
            success=[rpc_pb2.RequestOp(request_put=put)],
            failure=[rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=self._key))],
        )
        return self._call(lambda server: server.txn, request)

    def _call(self, pick: Any, request: Any) -> Any:
        return self._connection.call(pick, request, self._connection.deadline())


def _grant(server: Server) -> Any:
    return server.leases.LeaseGrant


def _revoke(server: Server) -> Any:
    return server.leases.LeaseRevoke


def _keep_alive(server: Server) -> Any:
    def ask(request: Any, **how: Any) -> Any:
        stream = server.leases.LeaseKeepAlive(iter([request]), **how)
        try:
            return next(stream)
        finally:
            stream.cancel()

    return ask
