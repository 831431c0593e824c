"""A folder of this machine, or one that all nodes mount.

Every step goes from an open folder to a name in it, and no step follows a link. So other processes
cannot lead a path out of the folder by renaming or linking.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, Final

from jobx.handlers.files.backend import TEMPORARY, Stat, copy_through, failure
from jobx.handlers.files.paths import Parts, refused

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DRAFT: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Local:
    """A back end on a folder that exists.

    New files and folders get the permissions of that folder, which decides who may read them.

    Args:
        root: The folder.
        fsync: A file is on disk before it takes its place.
    """

    def __init__(self, root: str, *, fsync: bool = True) -> None:
        self._root = root
        self._fsync = fsync
        mode = stat.S_IMODE(os.stat(root).st_mode)
        self._file_mode, self._folder_mode = mode & 0o666, mode & 0o2777

    def stat(self, path: Parts) -> Stat:
        """Return the metadata of a file or folder."""
        with self._parent(path) as folder:
            return _stat(path[-1], _lstat(path[-1], folder))

    def list(self, path: Parts) -> list[Stat]:
        """Return the entries of a folder, without links and devices."""
        with self._folder(path) as folder, os.scandir(folder) as entries:
            return [found for entry in entries if (found := _listed(entry)) is not None]

    def mkdir(self, path: Parts) -> None:
        """Create a folder in an existing one."""
        with self._parent(path) as folder:
            os.mkdir(path[-1], dir_fd=folder)
            made = _open_folder(path[-1], folder)
            try:
                os.fchmod(made, self._folder_mode)
            finally:
                os.close(made)

    def rmdir(self, path: Parts) -> None:
        """Remove an empty folder."""
        with self._parent(path) as folder:
            os.rmdir(path[-1], dir_fd=folder)

    def remove(self, path: Parts) -> None:
        """Remove a file."""
        with self._parent(path) as folder:
            if stat.S_ISDIR(_lstat(path[-1], folder).st_mode):
                raise failure(errno.EISDIR)
            os.unlink(path[-1], dir_fd=folder)

    def move(self, source: Parts, target: Parts) -> None:
        """Move a file or folder; a file at ``target`` is replaced."""
        with self._parent(source) as before, self._parent(target) as after:
            _lstat(source[-1], before)
            _check_target(target[-1], after)
            os.rename(source[-1], target[-1], src_dir_fd=before, dst_dir_fd=after)

    def copy(self, source: Parts, target: Parts) -> None:
        """Copy a file; a file at ``target`` is replaced as a whole."""
        copy_through(self, source, target)

    def read(self, path: Parts) -> BinaryIO:
        """Open a file; if it is replaced meanwhile, the old version is read to its end."""
        with self._parent(path) as folder:
            if stat.S_ISDIR(_lstat(path[-1], folder).st_mode):
                raise failure(errno.EISDIR)
            file = os.fdopen(os.open(path[-1], _READ, dir_fd=folder), "rb")
        try:
            _check_kind(os.fstat(file.fileno()))
        except OSError:
            file.close()
            raise
        return file

    def draft(self, path: Parts) -> LocalDraft:
        """Start a file that appears at ``path`` as a whole; close it at the end."""
        with self._parent(path) as folder, self._drafts() as drafts:
            _check_target(path[-1], folder)
            return LocalDraft(
                os.dup(folder), os.dup(drafts), path[-1], self._file_mode, self._fsync
            )

    def clean(self, before_at: float) -> int:
        """Remove the leftovers of writers that died before then; return their number."""
        removed = 0
        with self._drafts() as drafts, os.scandir(drafts) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime < before_at:
                        os.unlink(entry.name, dir_fd=drafts)
                        removed += 1
        return removed

    @contextmanager
    def _drafts(self) -> Iterator[int]:
        with suppress(FileExistsError):
            self.mkdir((TEMPORARY,))
        with self._folder((TEMPORARY,)) as folder:
            yield folder

    @contextmanager
    def _parent(self, path: Parts) -> Iterator[int]:
        with self._folder(path[:-1]) as folder:
            yield folder

    @contextmanager
    def _folder(self, path: Parts) -> Iterator[int]:
        """Open a folder for the length of a ``with``, from the root down."""
        current = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in path:
                below = _open_folder(name, current)
                os.close(current)
                current = below
            yield current
        finally:
            os.close(current)


class LocalDraft:
    """A file in the folder for drafts, to be renamed to its place.

    Args:
        folder: The open folder of that place; it is closed with the draft.
        drafts: The open folder of drafts; likewise.
        name: The file's name in ``folder``.
        mode: Its permissions.
        fsync: It is on disk before it takes its place.
    """

    def __init__(self, folder: int, drafts: int, name: str, mode: int, fsync: bool) -> None:
        self._folder, self._drafts = folder, drafts
        self._name, self._mode, self._fsync = name, mode, fsync
        self._draft = secrets.token_hex(8)
        self._is_published = False
        try:
            self.file: BinaryIO = os.fdopen(
                os.open(self._draft, _DRAFT, 0o600, dir_fd=drafts), "w+b", buffering=0
            )
        except BaseException:
            os.close(folder)
            os.close(drafts)
            raise

    def publish(self) -> None:
        """Move it to its place at once; this replaces an existing file."""
        os.fchmod(self.file.fileno(), self._mode)
        if self._fsync:
            os.fsync(self.file.fileno())
        _check_target(self._name, self._folder)
        os.replace(self._draft, self._name, src_dir_fd=self._drafts, dst_dir_fd=self._folder)
        self._is_published = True
        if self._fsync:
            os.fsync(self._folder)

    def close(self) -> None:
        """Discard it, unless it was published."""
        try:
            self.file.close()
            if not self._is_published:
                with suppress(FileNotFoundError):
                    os.unlink(self._draft, dir_fd=self._drafts)
        finally:
            os.close(self._folder)
            os.close(self._drafts)


def _open_folder(name: str, folder: int) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except NotADirectoryError:
        _lstat(name, folder)  # a link is not a file
        raise


def _lstat(name: str, folder: int) -> os.stat_result:
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    _check_kind(found)
    return found


def _check_kind(found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise refused("a symbolic link is not followed")
    if stat.S_ISDIR(found.st_mode):
        return
    if not stat.S_ISREG(found.st_mode):
        raise refused("neither a file nor a folder")
    if found.st_nlink > 1:
        raise refused("a file with a second name (hard link) may be one of another place")


def _check_target(name: str, folder: int) -> None:
    """Refuse to replace anything but a file."""
    try:
        found = _lstat(name, folder)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        raise failure(errno.EISDIR)


def _listed(entry: os.DirEntry[str]) -> Stat | None:
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode):
        return _stat(entry.name, found)
    return None


def _stat(name: str, found: os.stat_result) -> Stat:
    if stat.S_ISDIR(found.st_mode):
        return Stat(name, "directory", 0, found.st_mtime)
    return Stat(name, "file", found.st_size, found.st_mtime)
