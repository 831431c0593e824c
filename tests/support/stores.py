"""Every kind of store, each new and empty."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from jobx.kv.blobs import BlobFolder
from jobx.kv.etcd.connection import EtcdConnection
from jobx.kv.etcd.store import LIMITS, EtcdStore
from jobx.kv.etcd2.connection import Etcd2Connection
from jobx.kv.etcd2.http_pool import Access
from jobx.kv.etcd2.store import LIMITS as LIMITS_2
from jobx.kv.etcd2.store import Etcd2Store
from jobx.kv.large_events import LargeEvents
from jobx.kv.memory import MemoryStore
from jobx.kv.sqlite.store import SqliteStore
from jobx.kv.store import Limits, Store
from tests.support.etcd import Etcd, has_v2

KINDS: Final = ("memory", "sqlite", "etcd", "etcd2")
#: With what is around one of them.
ALL_KINDS: Final = (*KINDS, "large_events")
#: Opens a store of a kind, in a folder, with limits if any are given.
OpenStore: TypeAlias = Callable[..., Store]


def opener(etcd: Callable[[], Etcd]) -> OpenStore:
    """Return what opens stores; ``etcd`` gives the servers of those that are there."""

    def open_store(kind: str, folder: Path, limits: Limits | None = None) -> Store:
        if kind == "memory":
            return MemoryStore(limits=limits or Limits())
        if kind == "large_events":
            return LargeEvents(MemoryStore(limits=limits or Limits()), BlobFolder(folder))
        if kind == "sqlite":
            return SqliteStore(folder / "store.db", limits=limits or Limits())
        if kind == "etcd2":
            if not has_v2():
                pytest.skip("these servers have no v2 API")
            return etcd2_store(etcd(), limits or LIMITS_2)
        return etcd_store(etcd(), limits or LIMITS)

    return open_store


def etcd_store(etcd: Etcd, limits: Limits = LIMITS, timeout_s: float = 60.0) -> EtcdStore:
    """Open a store among keys of its own."""
    connection = EtcdConnection(etcd.servers, None, None, timeout_s)
    return EtcdStore(connection, f"{uuid.uuid4().hex}/", limits)


def etcd2_store(etcd: Etcd, limits: Limits = LIMITS_2, timeout_s: float = 60.0) -> Etcd2Store:
    """Open a store on the v2 API, among keys of its own."""
    connection = Etcd2Connection(etcd.servers, Access(), timeout_s)
    return Etcd2Store(connection, f"{uuid.uuid4().hex}/", limits)
