"""Folders of another machine over SFTP.

sshfs makes the connection. Its file calls are not used, because they follow links and copy with a
shell command on the other side.
"""

from __future__ import annotations

import errno
import io
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, Final

import asyncssh
from fsspec.asyn import sync
from sshfs import SSHFileSystem

from jobx.handlers.files.backend import TEMPORARY, Stat, copy_through, failure
from jobx.handlers.files.paths import Parts, refused
from jobx.handlers.files.remote import Remote, Stream

_PIECE_BYTES: Final = 1 << 20
_KEEPALIVE_S: Final = 15.0


class Sftp(Remote):
    """A back end on a folder that exists.

    Args:
        host: Where it is.
        root: The folder there.
        timeout_s: How long to wait for one answer.
        options: Further arguments of ``asyncssh.connect``. The host's key must be known.
    """

    def __init__(self, host: str, root: str, timeout_s: float, options: dict[str, Any]) -> None:
        self._timeout_s = timeout_s
        self._connect: Callable[[], SSHFileSystem] = lambda: SSHFileSystem(
            host,
            timeout=timeout_s,
            skip_instance_cache=True,
            # Without this sshfs accepts any key; () is the user's known_hosts.
            **{"known_hosts": (), "keepalive_interval": _KEEPALIVE_S} | options,
        )
        with _translated():
            super().__init__(self._connect(), root)
        self._sftp: asyncssh.SFTPClient | None = None

    def stat(self, path: Parts) -> Stat:
        """Return the metadata of a file or folder."""
        self._check_links(path[:-1])
        found = _as_stat(path[-1], self._ask("lstat", self.at(path)))
        if found is None:
            raise refused("neither a file nor a folder, or a link, which is not followed")
        return found

    def list(self, path: Parts) -> list[Stat]:
        """Return the entries of a folder, without links and devices."""
        self.check_folder(path)
        entries = self._ask("readdir", self.at(path))
        stats = (_as_stat(entry.filename, entry.attrs) for entry in entries)
        return [stat for stat in stats if stat is not None and stat.name not in (".", "..")]

    def remove(self, path: Parts) -> None:
        """Remove a file."""
        if self.stat(path).is_folder:
            raise failure(errno.EISDIR)
        self._ask("remove", self.at(path))

    def move(self, source: Parts, target: Parts) -> None:
        """Move a file or folder; a file at ``target`` is replaced."""
        self.stat(source)
        self.check_target(target)
        self._ask("posix_rename", self.at(source), self.at(target))

    def copy(self, source: Parts, target: Parts) -> None:
        """Copy a file; a file at ``target`` is replaced as a whole."""
        copy_through(self, source, target)

    def read(self, path: Parts) -> BinaryIO:
        """Open a file; if it is replaced meanwhile, the old version is read to its end."""
        found = self.stat(path)
        if found.is_folder:
            raise failure(errno.EISDIR)
        handle = self._ask("open", self.at(path), "rb")

        def fetch(start: int, wanted_bytes: int) -> bytes:
            with _translated():
                piece: bytes = self._wait(handle.read, wanted_bytes, start)
            return piece

        def release() -> None:
            with suppress(OSError), _translated():
                self._wait(handle.close)

        return io.BufferedReader(Stream(fetch, found.size, release), _PIECE_BYTES)

    def make_folder(self, path: Parts) -> None:
        """Create a folder that does not exist."""
        try:
            self._ask("mkdir", self.at(path))
        except OSError:
            self.check_absent(path)  # the protocol has no error for a lost race
            raise

    def remove_folder(self, path: Parts) -> None:
        """Remove an empty folder."""
        self._ask("rmdir", self.at(path))

    def put(self, name: str, path: Parts) -> None:
        """Upload a local file next to its place, then rename it."""
        with suppress(FileExistsError):
            self.mkdir((TEMPORARY,))
        draft = self.at((TEMPORARY, secrets.token_hex(8)))
        try:
            self._upload(name, draft)
            self._ask("posix_rename", draft, self.at(path))
        except BaseException:
            with suppress(OSError):
                self._ask("remove", draft)
            raise

    def clean(self, before_at: float) -> int:
        """Remove the leftovers of writers that died before then; return their number."""
        removed = 0
        with suppress(FileNotFoundError):
            for found in self.list((TEMPORARY,)):
                if found.modified_at is not None and found.modified_at < before_at:
                    self.remove((TEMPORARY, found.name))
                    removed += 1
        return removed

    def _upload(self, name: str, draft: str) -> None:
        handle = self._ask("open", draft, "wb")
        try:
            with open(name, "rb") as file, _translated():
                while piece := file.read(_PIECE_BYTES):
                    self._wait(handle.write, piece)
        finally:
            with _translated():
                self._wait(handle.close)

    def _check_links(self, path: Parts) -> None:
        for depth in range(1, len(path) + 1):
            found = _as_stat(path[depth - 1], self._ask("lstat", self.at(path[:depth])))
            if found is None:
                raise refused("a link is not followed")
            if not found.is_folder:
                raise failure(errno.ENOTDIR)

    def _ask(self, method: str, *arguments: object) -> Any:
        """Call a method of the SFTP client; reconnect if the connection was lost before."""
        with _translated():
            if self._sftp is None or self.fs.client.is_closed():
                if self.fs.client.is_closed():
                    self.fs = self._connect()
                self._sftp = self._wait(self.fs.client.start_sftp_client)
            return self._wait(getattr(self._sftp, method), *arguments)

    def _wait(self, call: Callable[..., Any], *arguments: object) -> Any:
        return sync(self.fs.loop, call, *arguments, timeout=self._timeout_s)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath) as error:
        raise failure(errno.ENOENT) from error
    except (asyncssh.SFTPPermissionDenied, asyncssh.PermissionDenied) as error:
        raise failure(errno.EACCES) from error
    except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection) as error:
        raise failure(errno.ECONNRESET) from error
    except asyncssh.Error as error:
        raise OSError(errno.EIO, f"{type(error).__name__}: {error.reason}") from error


def _as_stat(name: str | bytes, attrs: asyncssh.SFTPAttrs) -> Stat | None:
    """Return the metadata of a file or folder, None for anything else."""
    name = name.decode() if isinstance(name, bytes) else name
    mode = attrs.permissions or 0
    if stat.S_ISDIR(mode):
        return Stat(name, "directory", 0, attrs.mtime)
    if stat.S_ISREG(mode):
        return Stat(name, "file", attrs.size or 0, attrs.mtime)
    return None
