"""When a watch lists and where it goes on, with a server that only says something."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import pytest
from aetcd.rpc import kv_pb2, rpc_pb2

from jobx.errors import StoreUnavailable
from jobx.kv.etcd import watches
from jobx.kv.etcd.connection import EtcdConnection
from jobx.kv.etcd.transactions import Space
from jobx.kv.etcd.watches import EtcdWatch
from jobx.kv.leases import Held

BEGUN = rpc_pb2.WatchResponse(created=True)
COMPACTED = rpc_pb2.WatchResponse(canceled=True, compact_revision=9)


class Server(EtcdConnection):
    """A server with one list and what it says to each look.

    Attributes:
        looks: What each look is answered; then nothing.
        begins: Whether it answers looks at all.
        revisions: From where each look went on.
        lists: How often it was asked for the list.
        is_silent: It does not even answer that.
    """

    def __init__(self) -> None:
        super().__init__(["a:1"], None, None, 100.0)
        self.looks: list[list[Any]] = []
        self.begins = True
        self.revisions: list[int] = []
        self.lists = 0
        self.is_silent = False

    def call(self, pick: Any, request: Any, deadline: float, writes: str | None = None) -> Any:
        if self.is_silent:
            raise StoreUnavailable("it says nothing")
        self.lists += 1
        return rpc_pb2.RangeResponse(header=rpc_pb2.ResponseHeader(revision=10 * self.lists))

    def watch(self, request: Any, limit_s: float) -> Generator[Any, None, None]:
        self.revisions.append(request.create_request.start_revision)
        if self.begins:
            yield BEGUN
            yield from self.looks.pop(0) if self.looks else ()


def change(revision: int, key: str, is_put: bool = True) -> Any:
    kv = kv_pb2.KeyValue(key=key.encode(), value=b"me", mod_revision=revision)
    kind = kv_pb2.Event.PUT if is_put else kv_pb2.Event.DELETE
    header = rpc_pb2.ResponseHeader(revision=1000)
    return rpc_pb2.WatchResponse(header=header, events=[kv_pb2.Event(type=kind, kv=kv)])


@pytest.fixture
def server() -> Iterator[Server]:
    with closing(Server()) as made:
        yield made


@pytest.fixture
def watch(server: Server) -> EtcdWatch:
    """A watch that has its list, of revision 10."""
    made = EtcdWatch(server, Space("root/"), "nodes/")
    assert made.next(0.0) == {}
    return made


def test_a_look_goes_on_behind_the_last_change_it_was_told(
    server: Server, watch: EtcdWatch
) -> None:
    server.looks = [[change(15, "root/nodes/a")], [change(17, "root/nodes/a", is_put=False)]]
    assert watch.next(1.0) == {"nodes/a": Held("me")}
    assert watch.next(1.0) == {}
    watch.next(0.01)
    assert server.revisions[:3] == [11, 16, 18]
    assert server.lists == 1


def test_a_compaction_has_everything_listed_anew(server: Server, watch: EtcdWatch) -> None:
    server.looks = [[COMPACTED], [change(25, "root/nodes/a")]]
    assert watch.next(1.0) == {"nodes/a": Held("me")}
    assert server.revisions == [11, 21]


def test_a_look_that_does_not_begin_has_everything_listed_anew(
    server: Server, watch: EtcdWatch
) -> None:
    server.begins, server.is_silent = False, True
    with pytest.raises(StoreUnavailable):
        watch.next(1.0)
    server.begins, server.is_silent = True, False
    server.looks = [[change(25, "root/nodes/a")]]
    assert watch.next(1.0) == {"nodes/a": Held("me")}
    assert server.revisions[-1] == 21


def test_everything_is_listed_anew_now_and_then(
    server: Server, watch: EtcdWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "LIST_S", 0.0)
    server.looks = [[COMPACTED]]
    watch.next(0.05)
    assert server.lists > 2
