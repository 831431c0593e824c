"""Opens the store that the settings name: the SQLite file of the data folder, or etcd."""

from __future__ import annotations

import os
import re
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jobx.config import Settings
from jobx.config_sections import StoreSettings
from jobx.errors import ConfigError
from jobx.kv import data_folder, keys
from jobx.kv.blobs import BlobFolder, SharedPlace
from jobx.kv.changes import Followed
from jobx.kv.folder_lock import FolderLock
from jobx.kv.large_events import LargeEvents
from jobx.kv.leases import Lease, Leases
from jobx.kv.sqlite.read_only import ReadOnlySqlite
from jobx.kv.sqlite.store import SqliteStore
from jobx.kv.store import Limits, Store
from jobx.system.extras import install
from jobx.views import StoreServerView

if TYPE_CHECKING:
    from jobx.kv.etcd.connection import EtcdConnection

#: So long after its last sign of life a node has lost its store to another one.
LEASE_S: Final = 5.0
#: So long after its last round another node sweeps in its place.
SWEEP_LEASE_S: Final = 60.0
#: In the order that gRPC takes them.
_FILES: Final = ("ca_file", "key_file", "cert_file")
_PORT: Final = 2379
#: ``etcd://`` or ``etcds://`` (over TLS), with a 2 in them for the v2 API; servers with commas, and
#: what all keys begin with.
_URL: Final = re.compile(r"(?P<scheme>etcds?2?)://(?P<servers>[^/?#]+)(/(?P<root>[^?#]*))?")
_SERVER: Final = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>\d{1,5}))?")


def is_here(settings: Settings) -> bool:
    """Tell whether the store is in the data folder."""
    return not settings.store.url


def open_store(
    settings: Settings, shared: SharedPlace | None = None, *, is_read_only: bool = False
) -> Store:
    """Open the store; close it when it is not needed any more.

    Args:
        settings: All settings.
        shared: The shared place of blobs, for events that are in blobs.
        is_read_only: Nothing will be written, and the node has it open.

    Raises:
        ConfigError: The settings of the store are wrong.
        StoreRefused: It cannot be used as it is.
        StoreUnavailable: It does not answer.
        StoreFull: No room left.
    """
    is_file = is_read_only and is_here(settings)
    store = ReadOnlySqlite(settings.store_path) if is_file else _open(settings)
    return LargeEvents(store, BlobFolder(settings.blob_path, shared))


def _open(settings: Settings) -> Store:
    if is_here(settings):
        return SqliteStore(settings.store_path, is_alone=_is_alone(settings.data_dir))
    servers, root = servers_of(settings.store.url)
    if _is_v2(settings.store):
        return _open_etcd2(settings.store, servers, root)
    return _open_etcd(settings.store, servers, root)


def _is_alone(data_dir: Path) -> bool:
    """Tell whether no node but this process may have the store of a data folder open."""
    holder = FolderLock(data_dir).holder()
    return holder is None or holder[0] == os.getpid()


def name_of(settings: Settings) -> str:
    """Return where the store is, for people."""
    return settings.store.url or settings.store_path.name


def lease_of(store: Store, settings: Settings, node_id: str) -> Lease | None:
    """Return the lease by which one node at a time works on a store.

    None: the lock of the data folder is enough. Who has that lock may be the holder.
    """
    return _lease(store, settings, keys.node(node_id), LEASE_S)


def sweep_lease(store: Store, settings: Settings) -> Lease | None:
    """Return the lease of the node that removes what nobody needs, of those that share a store.

    None: no other node may have the store.
    """
    return _lease(store, settings, keys.SWEEPS, SWEEP_LEASE_S)


def _lease(store: Store, settings: Settings, key: str, ttl_s: float) -> Lease | None:
    if is_here(settings):
        return None
    folder = f"{socket.gethostname()}:{settings.data_dir}"
    holder = f"{folder} ({data_folder.own_id(settings.data_dir)})"
    return leases_of(store).lease(key, holder, ttl_s)


def leases_of(store: Store) -> Leases:
    """Return the leases of a store on other machines."""
    leases: Leases = _inner(store)
    return leases


def followed(store: Store) -> Followed:
    """Return a store on other machines as one whose keys can be followed."""
    found: Followed = _inner(store)
    return found


def _inner(store: Store) -> Any:
    return store.inner if isinstance(store, LargeEvents) else store


def patience_s(settings: Settings) -> float:
    """Return how long it makes sense to wait until a store that does not answer does again.

    A cluster elects another leader within a second or two. A file that fails goes on failing.
    """
    return 0.0 if is_here(settings) else settings.store.timeout_s


def servers_of(url: str) -> tuple[list[str], str]:
    """Return the servers of a URL, ``host:port`` each, and what all keys begin with.

    Raises:
        ConfigError: It is no such URL.
    """
    found = _URL.fullmatch(url)
    if found is None:
        reason = "must be etcd://HOST:PORT,… or etcds://HOST:PORT,… (with TLS), or empty for SQLite"
        reason += "; etcd2:// and etcds2:// speak the v2 API of old servers"
        if "@" in url:
            reason += "; the user goes into store.username and store.password"
        raise ConfigError("store.url", repr(url), reason)
    servers = [_server(url, text) for text in found["servers"].split(",")]
    root = (found["root"] or "").strip("/")
    return servers, f"{root}/" if root else ""


def _server(url: str, text: str) -> str:
    found = _SERVER.fullmatch(text)
    if found is None or int(found["port"] or _PORT) not in range(1, 65536):
        reason = f"{text!r} is no HOST:PORT"
        if "@" in text:
            reason += "; the user goes into store.username and store.password"
        raise ConfigError("store.url", repr(url), reason)
    return f"{found['host']}:{found['port'] or _PORT}"


def _open_etcd(store: StoreSettings, servers: list[str], root: str) -> Store:
    _silence_grpc()
    try:
        from jobx.kv.etcd.store import LIMITS, EtcdStore  # noqa: PLC0415 - it imports the extra
    except ImportError as error:
        raise _lacks_extra(store, error) from error
    connection = _connect_etcd(store, servers)
    return EtcdStore(connection, root, Limits(store.max_writes, LIMITS.size_bytes))


def _silence_grpc() -> None:
    """Have gRPC write no line of its own about each failed handshake: our errors say as much.

    It reads this when it is imported.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def _lacks_extra(store: StoreSettings, error: ImportError) -> ConfigError:
    reason = f"needs the extra etcd: {install('etcd')} ({error})"
    return ConfigError("store.url", repr(store.url), reason)


def _connect_etcd(store: StoreSettings, servers: list[str]) -> EtcdConnection:
    import grpc  # noqa: PLC0415 - an extra

    from jobx.kv.etcd.connection import EtcdConnection  # noqa: PLC0415 - it imports the extra

    files = [_read(store, name) for name in _FILES]
    credentials = grpc.ssl_channel_credentials(*files) if _is_tls(store) else None
    user = (store.username, store.password) if store.username else None
    return EtcdConnection(servers, credentials, user, store.timeout_s)


def survey(settings: Settings) -> list[StoreServerView]:
    """Describe the servers of the store; none for SQLite, and for the v2 API, which says little.

    Raises:
        ConfigError: The settings of the store are wrong.
    """
    store = settings.store
    if is_here(settings) or _is_v2(store):
        return []
    _silence_grpc()
    try:
        from jobx.kv.etcd import survey as etcd  # noqa: PLC0415 - it imports the extra
    except ImportError as error:
        raise _lacks_extra(store, error) from error
    tls = _tls(store) if _is_tls(store) else None
    servers, _ = servers_of(store.url)
    with ThreadPoolExecutor(len(servers)) as threads:
        connections = [_connect_etcd(store, [server]) for server in servers]
        return list(threads.map(lambda one: etcd.survey(one, tls), connections))


def _tls(store: StoreSettings) -> ssl.SSLContext:
    for name in _FILES:
        _read(store, name)
    setting, path = "store.ca_file", store.ca_file
    try:
        context = ssl.create_default_context(cafile=path or None)
        if store.cert_file:
            setting, path = "store.cert_file", store.cert_file
            context.load_cert_chain(path, store.key_file)
    except ssl.SSLError as error:
        raise ConfigError(setting, repr(path), f"cannot be used: {error}") from error
    return context


def _open_etcd2(store: StoreSettings, servers: list[str], root: str) -> Store:
    from jobx.kv.etcd2.connection import Etcd2Connection  # noqa: PLC0415 - few need it
    from jobx.kv.etcd2.http_pool import Access  # noqa: PLC0415 - few need it
    from jobx.kv.etcd2.store import Etcd2Store  # noqa: PLC0415 - few need it

    for name in _FILES:
        _read(store, name)
    certificate = (store.cert_file, store.key_file) if store.cert_file else None
    user = (store.username, store.password) if store.username else None
    access = Access(_is_tls(store), store.ca_file, certificate, user)
    return Etcd2Store(Etcd2Connection(servers, access, store.timeout_s), root)


def _is_tls(store: StoreSettings) -> bool:
    return store.url.startswith("etcds")


def _is_v2(store: StoreSettings) -> bool:
    return "2" in store.url.partition(":")[0]


def _read(store: StoreSettings, name: str) -> bytes | None:
    path = getattr(store, name)
    other = {"cert_file": store.key_file, "key_file": store.cert_file}.get(name, "")
    if other and not path:
        raise ConfigError(f"store.{name}", "nothing", f"is needed with {other}")
    if not path:
        return None
    if not _is_tls(store):
        reason = "is used with etcds:// only, and store.url is etcd://, without TLS"
        raise ConfigError(f"store.{name}", repr(path), reason)
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"store.{name}", repr(path), error.strerror or str(error)) from error
