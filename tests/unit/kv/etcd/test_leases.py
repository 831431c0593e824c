"""When a lease is renewed and released, with a server that only says something."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from unittest.mock import Mock

import pytest
from aetcd.rpc import kv_pb2, rpc_pb2

from jobx.errors import StoreUnavailable
from jobx.kv.etcd.connection import EtcdConnection
from jobx.kv.etcd.leases import EtcdLease
from jobx.kv.leases import Held

WAIT_S = 60.0


class Server(EtcdConnection):
    """A server that lost every lease, and whose answer to a renewal may be held up.

    Attributes:
        revoked: The leases that were given up.
        left_s: How long each renewal may take.
    """

    def __init__(self) -> None:
        super().__init__(["a:1"], None, None, 100.0)
        self.revoked: list[int] = []
        self.left_s: list[float] = []
        self.asked, self.gate = threading.Event(), threading.Event()
        self._granted = 0

    def call(self, pick: Any, request: Any, deadline: float, writes: str | None = None) -> Any:
        if isinstance(request, rpc_pb2.LeaseGrantRequest):
            self._granted += 1
            return rpc_pb2.LeaseGrantResponse(ID=self._granted)
        if isinstance(request, rpc_pb2.LeaseKeepAliveRequest):
            self.left_s.append(deadline - time.monotonic())
            self.asked.set()
            assert self.gate.wait(WAIT_S)
            return rpc_pb2.LeaseKeepAliveResponse(TTL=0)
        if isinstance(request, rpc_pb2.LeaseRevokeRequest):
            self.revoked.append(request.ID)
            return None
        return _has_key(request.success[0].request_put)


def _has_key(put: Any) -> Any:
    item = kv_pb2.KeyValue(key=put.key, value=put.value, lease=put.lease)
    read = rpc_pb2.ResponseOp(response_range=rpc_pb2.RangeResponse(kvs=[item]))
    return rpc_pb2.TxnResponse(succeeded=True, responses=[rpc_pb2.ResponseOp(), read])


def test_a_renewal_under_way_leaves_no_lease_behind_its_release() -> None:
    with closing(Server()) as server, ThreadPoolExecutor(2) as pool:
        lease = EtcdLease(server, b"key", "key", Held("me"), 3.0)
        lease.acquire()
        renewing = pool.submit(lease.renew)
        assert server.asked.wait(WAIT_S)
        releasing = pool.submit(lease.release)
        server.gate.set()
        renewing.result(WAIT_S)
        releasing.result(WAIT_S)
        lease.renew()
    assert server.revoked == [2]


def test_a_renewal_leaves_time_for_another_one() -> None:
    with closing(Server()) as server:
        lease = EtcdLease(server, b"key", "key", Held("me"), 3.0)
        lease.acquire()
        server.gate.set()
        lease.renew()
    assert server.left_s[0] <= 1.0


class Ending(Server):
    """A server that ends a renewal without an answer."""

    def call(self, pick: Any, request: Any, deadline: float, writes: str | None = None) -> Any:
        if not isinstance(request, rpc_pb2.LeaseKeepAliveRequest):
            return super().call(pick, request, deadline, writes)
        return pick(Mock(keep_alive=Mock(return_value=None)))(request)


def test_a_renewal_that_ends_without_an_answer_is_a_fault_of_the_store() -> None:
    with closing(Ending()) as server:
        lease = EtcdLease(server, b"key", "key", Held("me"), 3.0)
        lease.acquire()
        with pytest.raises(StoreUnavailable, match="without an answer"):
            lease.renew()
