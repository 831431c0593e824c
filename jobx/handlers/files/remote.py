"""Back ends over fsspec file systems.

Only calls that take one plain path are used, because those for many expand patterns, and a file may
be named ``*``. Subclasses have what differs between stores.
"""

from __future__ import annotations

import datetime
import errno
import io
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, Final

from fsspec import AbstractFileSystem

from jobx.handlers.files.backend import Stat, failure
from jobx.handlers.files.paths import Parts

_COPY_BYTES: Final = 1 << 20


class Remote:
    """A back end over an fsspec file system.

    Args:
        fs: The file system.
        root: The path of the root there.
    """

    def __init__(self, fs: AbstractFileSystem, root: str) -> None:
        self.fs = fs
        self._root = root

    def stat(self, path: Parts) -> Stat:
        """Return the metadata of a file or folder."""
        with translated():
            return as_stat(path[-1], self.fs.info(self.at(path)))

    def list(self, path: Parts) -> list[Stat]:
        """Return the entries of a folder."""
        self.check_folder(path)
        own = self.at(path)
        with translated():
            infos = self.fs.ls(own, detail=True)
        named = ((info["name"].rstrip("/"), info) for info in infos)
        return [as_stat(name.rpartition("/")[2], info) for name, info in named if name != own]

    def mkdir(self, path: Parts) -> None:
        """Create a folder in an existing one."""
        self.check_parent(path)
        self.check_absent(path)
        with translated():
            self.make_folder(path)

    def rmdir(self, path: Parts) -> None:
        """Remove an empty folder."""
        if self.list(path):
            raise failure(errno.ENOTEMPTY)
        with translated():
            self.remove_folder(path)

    def remove(self, path: Parts) -> None:
        """Remove a file."""
        if self.stat(path).is_folder:
            raise failure(errno.EISDIR)
        with translated():
            self.fs.rm_file(self.at(path))

    def move(self, source: Parts, target: Parts) -> None:
        """Move a file or folder; a file at ``target`` is replaced. Others may see half of it."""
        if not self.stat(source).is_folder:
            self.copy(source, target)
            self.remove(source)
            return
        self.mkdir(target)
        for stat in self.list(source):
            self.move((*source, stat.name), (*target, stat.name))
        self.rmdir(source)

    def copy(self, source: Parts, target: Parts) -> None:
        """Copy a file; a file at ``target`` is replaced as a whole."""
        self.check_target(target)
        with translated():
            self.fs.cp_file(self.at(source), self.at(target))

    def read(self, path: Parts) -> BinaryIO:
        """Open a file; the reader sees one version of it, or gets an error."""
        if self.stat(path).is_folder:
            raise failure(errno.EISDIR)
        with translated():
            file: BinaryIO = self.fs.open(self.at(path), "rb")
        return file

    def draft(self, path: Parts) -> RemoteDraft:
        """Start a file that appears at ``path`` as a whole; close it at the end."""
        self.check_target(path)

        return RemoteDraft(lambda name: self._publish(name, path))

    def _publish(self, name: str, path: Parts) -> None:
        with translated():
            self.put(name, path)

    def clean(self, before_at: float) -> int:
        """Do nothing, because an unfinished file leaves nothing."""
        return 0

    def at(self, path: Parts) -> str:
        """Return a path in the form of the file system."""
        return "/".join((self._root, *path)) if self._root else "/".join(path)

    def make_folder(self, path: Parts) -> None:
        """Create a folder that does not exist, in the way of the store."""
        self.fs.mkdir(self.at(path), create_parents=False)

    def remove_folder(self, path: Parts) -> None:
        """Remove an empty folder, in the way of the store."""
        self.fs.rmdir(self.at(path))

    def put(self, name: str, path: Parts) -> None:
        """Upload a local file so that it appears as a whole, in the way of the store."""
        self.fs.put_file(name, self.at(path))

    def check_folder(self, path: Parts) -> None:
        """Refuse a path that is no folder."""
        if not self.stat(path).is_folder:
            raise failure(errno.ENOTDIR)

    def check_parent(self, path: Parts) -> None:
        """Refuse a path without a parent folder."""
        if len(path) > 1:
            self.check_folder(path[:-1])

    def check_absent(self, path: Parts) -> None:
        """Refuse an existing path."""
        with suppress(FileNotFoundError):
            self.stat(path)
            raise failure(errno.EEXIST)

    def check_target(self, path: Parts) -> None:
        """Refuse a path where no file may be."""
        self.check_parent(path)
        with suppress(FileNotFoundError):
            if self.stat(path).is_folder:
                raise failure(errno.EISDIR)


class RemoteDraft:
    """A local file that is uploaded when it is complete.

    Args:
        upload: Uploads the file of that name to its place.
    """

    def __init__(self, upload: Callable[[str], None]) -> None:
        self._upload = upload
        self._temporary = tempfile.NamedTemporaryFile(buffering=0)  # noqa: SIM115 - see close
        self.file: Any = self._temporary

    def publish(self) -> None:
        """Move it to its place at once; this replaces an existing file."""
        self._upload(self._temporary.name)

    def close(self) -> None:
        """Remove the local file."""
        self._temporary.close()


class Memory(Remote):
    """Files in the memory of this process, for tests."""

    def put(self, name: str, path: Parts) -> None:
        """Store a file at once; fsspec's own way would show its beginning first."""
        with open(name, "rb") as file:
            self.fs.pipe_file(self.at(path), file.read())

    def read(self, path: Parts) -> BinaryIO:
        """Open a copy, because fsspec's readers of one file share their position."""
        if self.stat(path).is_folder:
            raise failure(errno.EISDIR)
        with translated():
            return io.BytesIO(self.fs.cat_file(self.at(path)))


class Stream(io.RawIOBase):
    """A file that is fetched piece by piece.

    Args:
        fetch: Returns bytes from a position on, at most so many, none at the end.
        size_bytes: How large the file is.
        release: Called once when it is closed.
    """

    def __init__(
        self,
        fetch: Callable[[int, int], bytes],
        size_bytes: int,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self._fetch = fetch
        self._size_bytes = size_bytes
        self._release = release
        self._position = 0

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be read in any order."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer up to the end of the file; return the number of bytes."""
        wanted = min(len(buffer), self._size_bytes - self._position)
        piece = self._fetch(self._position, wanted) if wanted > 0 else b""
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def readall(self) -> bytes:
        """Return the rest; the inherited method would fetch it in tiny pieces."""
        pieces = []
        while piece := self.read(_COPY_BYTES * 4):
            pieces.append(piece)
        return b"".join(pieces)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position and return it."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}
        self._position = max(0, start[whence] + offset)
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def close(self) -> None:
        """Close the file; a second close does nothing."""
        if not self.closed:
            super().close()
            self._release()


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors of a client library into OSErrors."""
    try:
        yield
    except (OSError, MemoryError):
        raise
    except Exception as error:
        raise OSError(errno.EIO, f"{type(error).__name__}: {error}") from error


def as_stat(name: str, info: Mapping[str, Any]) -> Stat:
    """Return fsspec's metadata of a file or folder."""
    if info["type"] == "directory":
        return Stat(name, "directory")
    modified = info.get("mtime") or info.get("LastModified") or info.get("created")
    if isinstance(modified, datetime.datetime):
        modified = modified.timestamp()
    return Stat(name, "file", info["size"], modified)
