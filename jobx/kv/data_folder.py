"""Checks that a data folder can be used: by this user, and with its store.

A folder and its store are created together and have the same id. So a store that was emptied, lost
or exchanged is not mistaken for a new one, which would make all blobs orphans.
"""

from __future__ import annotations

import os
import pwd
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from jobx.errors import Conflict, StoreRefused
from jobx.kv import keys
from jobx.kv.store import Create, Store
from jobx.system.disk import born_private, close_to_others, translate

#: The file with the folder's copy of the id.
ID_NAME: Final = "store_id"
#: The file with the folder's own id, which no other folder has.
FOLDER_ID_NAME: Final = "folder_id"
#: Files that a node has as long as it runs.
_KEPT: Final = ("jobx.sqlite", "lock", ID_NAME)
_ID_BYTES: Final = 16


class FolderFiles:
    """Where the files of a folder are, so that it is seen when they are taken from a running node.

    What is written to a file that was removed is lost with the process, without any error.

    Args:
        data_dir: The folder.

    Attributes:
        gone: What was removed or replaced since, None for nothing.
    """

    def __init__(self, data_dir: Path) -> None:
        found = ((data_dir / name, identity_of(data_dir / name)) for name in _KEPT)
        self._files = {path: identity for path, identity in found if identity is not None}
        self.gone: Path | None = None

    def look(self) -> None:
        """See what is there; blocks."""
        for path, identity in self._files.items():
            with suppress(OSError):  # a disk that fails takes nothing away
                if identity_of(path) != identity:
                    self.gone = path


def identity_of(path: Path) -> tuple[int, int] | None:
    """Return what a file or folder keeps as long as it exists, whatever its name; None: no such."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def check_usable(data_dir: Path) -> None:
    """Check that everything that a node writes can be written; what is missing is fine.

    Raises:
        StoreRefused: Something belongs to another user; the error says what to do.
    """
    if not os.path.isdir(data_dir):
        return
    owner = os.stat(data_dir).st_uid
    if os.geteuid() == 0 and owner != 0:
        reason = (
            f"it belongs to {_user(owner)} and this is root, whose files that user could not write"
        )
        raise StoreRefused(str(data_dir), f"{reason}; run it as {_user(owner)}")
    refused = [data_dir]
    if os.access(data_dir, os.X_OK):
        written = _written(data_dir)
        refused = [path for path in written if not os.access(path, os.R_OK | os.W_OK)]
    if refused:
        others = f" (and {len(refused) - 1} more in {data_dir})" if len(refused) > 1 else ""
        mine, whose = _user(os.geteuid()), _user(os.stat(refused[0]).st_uid)
        fix = f"chmod -R u+rwX {data_dir}" if mine == whose else f"chown -R {mine} {data_dir}"
        reason = f"it belongs to {whose} and {mine} may not write it{others}"
        raise StoreRefused(str(refused[0]), f"{reason}; run {fix}")


def confirm_store(store: Store, data_dir: Path, name: str = "jobx.sqlite") -> None:
    """Check that a store belongs to the folder; the first store does.

    Args:
        store: The store.
        data_dir: The folder.
        name: Where the store is, for people.

    Raises:
        StoreRefused: It was emptied, lost or exchanged; the error says what to do.
    """
    path = data_dir / ID_NAME
    close_to_others(path)
    entry = store.get(keys.STORE_ID)
    mine, folders = entry.value if entry else None, _read(path)
    if mine is not None and folders in (None, mine):
        if folders is None:  # the store was copied here
            _write(path, mine)
        return
    if folders is None and not _is_emptied(store, data_dir):
        new = secrets.token_hex(_ID_BYTES).encode()
        try:
            store.commit([Create(keys.STORE_ID, new)])
        except Conflict:  # another node was quicker
            return confirm_store(store, data_dir, name)
        _write(path, new)
        return
    what = "is another one" if mine else "is empty or new"
    reason = (
        f"its store ({name}) {what}, while the folder was used with one that had requests or "
        f"blobs; put that back, from a backup if need be, or move blobs and {ID_NAME} away"
    )
    raise StoreRefused(str(data_dir), reason)


def own_id(data_dir: Path) -> str:
    """Return the id of a folder, which is made at its first use; only its owner may call this.

    Hosts made of one image may have the same name, and their folders the same path.

    Raises:
        StoreRefused: It cannot be read or written.
        StoreFull: No room left.
    """
    path = data_dir / FOLDER_ID_NAME
    found = _read(path)
    if found is None:
        found = secrets.token_hex(_ID_BYTES).encode()
        _write(path, found)
    return found.decode(errors="replace")


def _is_emptied(store: Store, data_dir: Path) -> bool:
    """Tell whether there are blobs of workflows that the store does not know."""
    has_blobs = any((data_dir / "blobs").glob("*/*"))
    return has_blobs and not store.range(keys.entities("workflow"), limit=1, damaged=[])


def _written(data_dir: Path) -> Iterator[Path]:
    names = (
        "jobx.sqlite",
        "jobx.sqlite-wal",
        "jobx.sqlite-shm",
        "tmp",
        "blobs",
        "running",
        "lock",
        ID_NAME,
        FOLDER_ID_NAME,
    )
    paths = [data_dir, *(data_dir / name for name in names)]
    yield from (path for path in paths if path.exists())
    yield from (data_dir / "blobs").glob("*")


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes().strip() or None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise translate(error, path) from error


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    try:
        with born_private():
            part.write_bytes(content)
        part.rename(path)
    except OSError as error:
        raise translate(error, path) from error
