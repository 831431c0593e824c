"""Writing blobs.

A blob becomes visible as a whole: it is written under a temporary name and renamed.
"""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from types import TracebackType
from typing import NoReturn

from jobx.system.disk import open_regular, pieces, sync_folders
from jobx.system.errors import translate


def _make_folder(folder: str) -> None:
    """Create a folder and those above it for their owner only, whatever an author's umask says."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    except FileNotFoundError:
        above = os.path.dirname(folder)
        if not above:
            raise
        _make_folder(above)
        with suppress(FileExistsError):
            os.mkdir(folder, 0o700)


def _open_private(path: str, flags: int) -> int:
    return open_regular(path, flags, 0o600)


class BlobFile:
    """A blob that is being written; it does not exist before ``commit``.

    Raises:
        StoreFull: No room is left.
        StoreRefused: The folder cannot be written.
        StoreUnavailable: The process lacks descriptors or memory.
    """

    def __init__(self, folder: str, name: str, sync: bool = False) -> None:
        self.size_bytes = 0
        self.checksum = 0
        self._path = os.path.join(folder, name)
        self._draft = f"{self._path}.part"
        self._sync = sync
        try:
            _make_folder(folder)
            self._file = open(  # noqa: SIM115 - see __exit__
                self._draft, "wb", buffering=0, opener=_open_private
            )
        except OSError as error:
            refuse(folder, error)

    def write(self, body: bytes | bytearray | memoryview) -> None:
        """Append bytes; a disk that is nearly full takes them in parts."""
        try:
            for piece in pieces(body):
                left = piece
                while left:
                    left = left[self._file.write(left) :]
                self.checksum = zlib.crc32(piece, self.checksum)
        except OSError as error:
            refuse(self._path, error)
        self.size_bytes += len(body)

    def commit(self) -> None:
        """Make the blob visible under its name; on disk too when it is synced.

        If that fails the blob is removed, since no later sync of the same file reports the data
        that a failed sync has lost.
        """
        try:
            if self._sync:
                os.fsync(self._file.fileno())
            self._file.close()
            os.rename(self._draft, self._path)
            self._draft = self._path
            if self._sync:
                sync_folders(self._path)
        except OSError as error:
            self._remove()
            refuse(self._path, error)

    def _remove(self) -> None:
        """Remove what was written; an older blob of this name stays until it is replaced."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            os.unlink(self._draft)

    def __enter__(self) -> BlobFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self._remove()


def refuse(where: str, error: OSError) -> NoReturn:
    """Raise the error of a failed write: no room, or a folder that cannot be written."""
    raise translate(error, where) from error
