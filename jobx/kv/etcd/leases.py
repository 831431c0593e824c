"""Leases of etcd: an attached key disappears with its lease."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from aetcd.rpc import rpc_pb2

from jobx.errors import InUse, JobxError, StoreUnavailable
from jobx.kv.etcd.connection import EtcdConnection, Server
from jobx.kv.etcd.transactions import equal_revision
from jobx.kv.leases import Held, decode, encode
from jobx.kv.timed_lease import TimedLease


class EtcdLease(TimedLease):
    """The contract of ``Lease``.

    Args:
        connection: The connection to the servers.
        key: The key, as etcd has it.
        name: The key, for people.
        held: The holder, and the text to show at first.
        ttl_s: The time after which it expires; etcd counts whole seconds.
    """

    def __init__(
        self, connection: EtcdConnection, key: bytes, name: str, held: Held, ttl_s: float
    ) -> None:
        super().__init__(name, held, ttl_s)
        self._connection = connection
        self._key = key
        self._id = 0
        #: The revision of the key when it was last seen.
        self._revision = 0

    def _drop(self) -> None:
        dropped, self._id = self._id, 0
        if dropped:
            self._call(_revoke, rpc_pb2.LeaseRevokeRequest(ID=dropped))

    def _keep(self) -> bool:
        if self._id and self._prolong() and self._show():
            return True
        self._id = 0
        return False

    def _prolong(self) -> bool:
        """Renew the lease; return whether it still existed."""
        # A renewal that is not answered leaves time for the next one.
        limit_s = min(self._connection.timeout_s, self._ttl_s / 3)
        request = rpc_pb2.LeaseKeepAliveRequest(ID=self._id)
        answer = self._connection.call(_keep_alive, request, time.monotonic() + limit_s)
        if answer is None:
            raise StoreUnavailable(f"{self._connection.where} ended a renewal without an answer")
        return bool(answer.TTL > 0)

    def _show(self) -> bool:
        """Have the key show the text; return False if the key is not of this lease any more."""
        while not self._is_shown:
            found = self._write(self._id, self._revision)
            if found is None or found.lease != self._id:
                return False
            self._revision = found.mod_revision
            self._is_shown = found.value == encode(self._held)
        return True

    def _take(self) -> None:
        self._held = self._held.anew()
        granted = self._call(_grant, rpc_pb2.LeaseGrantRequest(TTL=self._ttl_s)).ID
        found = self._write(granted, 0)
        while found is None or found.lease != granted:
            if found is not None and (other := decode(found.value).holder) != self._held.holder:
                with suppress(JobxError):  # it expires
                    self._call(_revoke, rpc_pb2.LeaseRevokeRequest(ID=granted))
                raise InUse("lease", self._name, other)
            found = self._write(granted, found.mod_revision if found else 0)
        self._id, self._revision, self._is_shown = granted, found.mod_revision, True

    def _write(self, lease: int, revision: int) -> Any:
        """Write the key if it has a revision; return the key as it is then, None if it is not."""
        put = rpc_pb2.PutRequest(key=self._key, value=encode(self._held), lease=lease)
        read = rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=self._key))
        request = rpc_pb2.TxnRequest(
            compare=[equal_revision(self._key, revision)],
            success=[rpc_pb2.RequestOp(request_put=put), read],
            failure=[read],
        )
        # Its revision makes it harmless twice, so it is repeated as a read is.
        items = self._call(_txn, request).responses[-1].response_range.kvs
        return items[0] if items else None

    def _call(self, pick: Any, request: Any) -> Any:
        return self._connection.call(pick, request, self._connection.deadline())


def _txn(server: Server) -> Any:
    return server.txn


def _grant(server: Server) -> Any:
    return server.leases.LeaseGrant


def _revoke(server: Server) -> Any:
    return server.leases.LeaseRevoke


def _keep_alive(server: Server) -> Any:
    return server.keep_alive
