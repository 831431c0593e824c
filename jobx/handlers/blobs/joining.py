"""What a node checks at its start: that the shared place belongs to its store, and takes writes."""

from __future__ import annotations

import errno
import socket
from contextlib import closing
from typing import Final

from jobx.config import Settings
from jobx.errors import ConfigError, Conflict
from jobx.handlers.blobs import opening
from jobx.handlers.blobs.shared import SharedBlobs
from jobx.handlers.files import folders
from jobx.handlers.files.backend import BLOBS, BackEnd
from jobx.handlers.files.paths import Parts
from jobx.kv import keys
from jobx.kv.store import Create, Store

#: In the place: the id of its store, and the files by which nodes see that they may write.
STORE_ID: Final = "store_id"
NODES: Final = "nodes"
_REFUSALS: Final = frozenset({errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EROFS})
_MOST_BYTES: Final = 1 << 16


def join(settings: Settings, store: Store, shared: SharedBlobs | None, node_id: str) -> None:
    """Refuse to start with another place than the nodes before had; blocks.

    The first node of a store claims a place: from then on each has the other's name.

    Raises:
        ConfigError: ``blobs.url`` is not the place of this store, or cannot be used.
        StoreUnavailable: The place does not answer.
        StoreFull: It has no room.
    """
    claimed = store.get(keys.BLOBS_PLACE)
    where = claimed.value.decode(errors="replace") if claimed else None
    if shared is None:
        if where is not None:
            reason = f"the large values of this store are in {where}: set it as it was"
            raise ConfigError("blobs.url", "nothing", reason)
        return
    opening.load(settings.blobs)
    entry = store.get(keys.STORE_ID)
    mine = entry.value if entry else b""
    _confirm_owner(shared, mine, where)
    if where is None:
        try:
            store.commit([Create(keys.BLOBS_PLACE, shared.where.encode())])
        except Conflict:  # another node was quicker
            return join(settings, store, shared, node_id)
    name = f"{socket.gethostname()}:{settings.data_dir}"
    shared.call(lambda back_end: _try_writes(back_end, node_id, name.encode()))
    _confirm_owner(shared, mine, shared.where)  # nobody else claimed it meanwhile


def _confirm_owner(shared: SharedBlobs, mine: bytes, claimed: str | None) -> None:
    def confirm(back_end: BackEnd) -> None:
        try:
            found = _read(back_end, (STORE_ID,))
            if found is None and claimed is None:
                _write(back_end, (STORE_ID,), mine)
                return
        except OSError as error:
            if error.errno in _REFUSALS or isinstance(error, PermissionError | FileNotFoundError):
                reason = error.strerror or str(error) or type(error).__name__
                raise _refused(shared, f"cannot be used: {reason}") from error
            raise
        if found is None:
            reason = f"is empty, and the large values of this store are in {claimed}"
            raise _refused(shared, f"{reason}: name that place, or move its files here")
        if found != mine:
            reason = "has the large values of another store: give each store a place of its own"
            raise _refused(shared, reason)

    shared.call(confirm)


def _refused(shared: SharedBlobs, reason: str) -> ConfigError:
    return ConfigError("blobs.url", repr(shared.where), reason)


def _try_writes(back_end: BackEnd, node_id: str, name: bytes) -> None:
    """Leave nothing but the folders: there may have been any number of nodes."""
    for folder in (BLOBS, NODES):
        folders.ensure(back_end, (folder,))
    _write(back_end, (NODES, node_id), name)
    back_end.remove((NODES, node_id))


def _read(back_end: BackEnd, place: Parts) -> bytes | None:
    """Return a small file; None if there is none."""
    if folders.find(back_end, place) is None:
        return None
    with back_end.read(place) as file:
        return file.read(_MOST_BYTES)


def _write(back_end: BackEnd, place: Parts, content: bytes) -> None:
    """Write a small file, and read it again."""
    with closing(back_end.draft(place)) as draft:
        draft.file.write(content)
        draft.publish()
    if _read(back_end, place) != content:
        raise OSError(errno.EIO, "it does not have what was written to it")
