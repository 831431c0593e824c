"""The secret of a cluster, and the record by which a store knows the cluster that it belongs to.

The record has the name of the cluster and a check value, which only holders of the secret can make.
So a node with another secret or another name is refused at start, before it meets any peer.
"""

from __future__ import annotations

import hmac
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from jobx.config_sections import ClusterSettings
from jobx.errors import (
    UNREADABLE,
    ConfigError,
    Conflict,
    EntryDamaged,
    OutcomeUnknown,
    StoreUnavailable,
)
from jobx.kv import keys
from jobx.kv.store import Create, Store

#: Shortest secret of a cluster.
KEY_CHARACTERS: Final = 32
#: What nobody else may do with the file of the secret.
_FORBIDDEN: Final = stat.S_IWGRP | stat.S_IRWXO
_SECRET: Final = "one, which is secret"  # noqa: S105 - what is shown in its place


class ClusterRecord(Struct, frozen=True):
    """What a store knows of its cluster.

    Attributes:
        name: The name of the cluster.
        check: A keyed hash of the name, in hex; the key is the secret of the cluster.
    """

    name: str
    check: str


def secret_of(cluster: ClusterSettings) -> bytes:
    """Return the secret of a cluster, from the settings or from the file that they name.

    Raises:
        ConfigError: There is none, or it is too short; its file cannot be read, or others may.
    """
    if cluster.key and cluster.key_file:
        raise ConfigError("cluster.key_file", repr(cluster.key_file), "goes without cluster.key")
    setting = "cluster.key_file" if cluster.key_file else "cluster.key"
    secret = _read(Path(cluster.key_file)) if cluster.key_file else cluster.key.encode()
    if not secret:
        raise ConfigError(setting, "nothing", "is needed with bridge.nsqd")
    if len(secret) < KEY_CHARACTERS:
        reason = f"must have at least {KEY_CHARACTERS} characters"
        raise ConfigError(setting, f"{len(secret)}, which are secret", reason)
    return secret


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            secret = file.read(1 << 16).strip()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError("cluster.key_file", repr(str(path)), reason) from error
    if mode & _FORBIDDEN:
        reason = f"others may read or change it (mode {mode:04o}); chmod it to 0600"
        raise ConfigError("cluster.key_file", repr(str(path)), reason)
    return secret


def confirm(store: Store, cluster: ClusterSettings) -> None:
    """Check that a store belongs to a cluster; the first node of a new store makes it so.

    Raises:
        ConfigError: It belongs to a cluster of another name, or with another secret.
        EntryDamaged: Its record of the cluster cannot be read.
        StoreUnavailable: It does not answer.
    """
    secret = secret_of(cluster)
    mine = ClusterRecord(cluster.name, _check_value(secret, cluster.name))
    found = record_of(store) or _kept(store, mine)
    if found.name != mine.name:
        reason = f"its store belongs to the cluster {found.name!r}"
        hint = "; another cluster needs another prefix in store.url"
        raise ConfigError("cluster.name", repr(cluster.name), reason + hint)
    if not hmac.compare_digest(found.check, mine.check):
        setting = "cluster.key_file" if cluster.key_file else "cluster.key"
        reason = f"the other nodes of the cluster {mine.name!r} have another key"
        raise ConfigError(setting, _SECRET, reason)


def _check_value(secret: bytes, name: str) -> str:
    return hmac.digest(secret, f"jobx cluster {name}".encode(), "sha256").hex()


def _kept(store: Store, mine: ClusterRecord) -> ClusterRecord:
    """Write the record of a store; return the one that is there then."""
    with suppress(Conflict, OutcomeUnknown):
        store.commit([Create(keys.CLUSTER, msgspec.json.encode(mine))])
    found = record_of(store)
    if found is None:
        raise StoreUnavailable("the store did not keep the record of its cluster")
    return found


def record_of(store: Store) -> ClusterRecord | None:
    """Return what a store knows of its cluster.

    Raises:
        EntryDamaged: It cannot be read.
        StoreUnavailable: The store does not answer.
    """
    entry = store.get(keys.CLUSTER)
    if entry is None:
        return None
    try:
        return msgspec.json.decode(entry.value, type=ClusterRecord)
    except UNREADABLE as error:
        raise EntryDamaged(keys.CLUSTER, str(error)) from error
