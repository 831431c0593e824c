"""A store of each kind, and entries of it that get damaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from aetcd.rpc import rpc_pb2

from jobx.kv.etcd.store import EtcdStore
from jobx.kv.etcd2.calls import Write as Write2
from jobx.kv.etcd2.store import Etcd2Store
from jobx.kv.store import (
    Limits,
    Put,
    Store,
)
from tests.support.stores import ALL_KINDS, OpenStore

#: A unit may have little.
LITTLE = Limits(writes=8, size_bytes=1000)


def damage_sqlite(store: Store, key: str, folder: Path) -> None:
    store.commit([Put(key, b"as written")])
    with closing(sqlite3.connect(folder / "store.db")) as file, file:
        assert file.execute(
            "UPDATE kv SET value = x'00' WHERE value = ?", (b"as written",)
        ).rowcount


def damage_etcd(store: Store, key: str, _: Path) -> None:
    assert isinstance(store, EtcdStore)
    name = store._space.key(key) + b"\xff"
    put = rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=name))
    connection = store._connection
    request = rpc_pb2.TxnRequest(success=[put])
    connection.call(lambda server: server.txn, request, connection.deadline(), key)


def damage_etcd2(store: Store, key: str, _: Path) -> None:
    assert isinstance(store, Etcd2Store)
    store._connection.make(Write2(store._names.path(key), "={"))


#: Writes a damaged entry whose key begins with a text; memory has none.
DAMAGE: dict[str, Callable[[Store, str, Path], None]] = {
    "sqlite": damage_sqlite,
    "etcd": damage_etcd,
    "etcd2": damage_etcd2,
}


@pytest.fixture(params=ALL_KINDS)
def store(request: pytest.FixtureRequest, open_store: OpenStore, tmp_path: Path) -> Iterator[Store]:
    opened = open_store(request.param, tmp_path)
    yield opened
    opened.close()


def revision(store: Store, key: str) -> int:
    entry = store.get(key)
    assert entry is not None
    return entry.revision


def content(store: Store) -> dict[str, bytes]:
    return {entry.key: entry.value for entry in store.range("")}
