"""Stores on etcd, as the settings of a node open them."""

from __future__ import annotations

from jobx.config import Settings
from jobx.config_sections import StoreSettings
from jobx.errors import JobxError
from jobx.kv.opening import open_store
from jobx.kv.store import Put, Store
from tests.support.etcd import Etcd

#: For tests in which a server does not answer; the others wait for slow machines.
TIMEOUT_S = 2.0


def opened(*servers: str, scheme: str = "etcd", timeout_s: float = 30.0, **fields: str) -> Store:
    """Open a store; ``servers`` are ``host:port``."""
    url = f"{scheme}://{','.join(servers)}"
    return open_store(Settings(store=StoreSettings(url=url, timeout_s=timeout_s, **fields)))


def impatient(etcd: Etcd) -> Store:
    """Open a store that soon takes its servers for silent."""
    return opened(*etcd.servers, timeout_s=TIMEOUT_S)


def is_written(store: Store, key: str) -> bool:
    """Write a key; return whether that could be done."""
    try:
        store.commit([Put(key, b"")])
    except JobxError:
        return False
    return True
