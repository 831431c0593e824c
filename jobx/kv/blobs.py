"""The folders that hold the large values of requests."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from jobx.model import check_name, is_name
from jobx.payload import STAGE_DATA
from jobx.system.disk import create_folder, open_regular, pieces, sync_folders, translate
from jobx.system.errors import is_own_lack, translate_read

#: Endings of files that are not put into the shared place later: unfinished ones, and what stages
#: yielded, which may have been removed there.
_ALONE: Final = (".part", STAGE_DATA)


class SharedPlace(Protocol):
    """A place that nodes share; ``handlers/blobs/shared.py`` is one and says what is raised."""

    def folder(self, path: str) -> os.PathLike[str]:
        """Return the folder at ``path``, which can fetch what it lacks."""
        ...

    def put(self, path: str, name: str, size_bytes: int, checksum: int | None = None) -> None:
        """Copy a blob from the folder at ``path`` to the place."""
        ...

    def fetch(self, path: str, name: str, size_bytes: int, checksum: int) -> None:
        """Copy a blob from the place to the folder at ``path``."""
        ...

    def sizes(self, workflow: str, request_id: str) -> Mapping[str, int]:
        """Return the blobs of a request there, with their sizes."""
        ...

    def remove(
        self, workflow: str, request_id: str, is_stopping: Callable[[], bool] = lambda: False
    ) -> bool:
        """Remove the blobs of a request there; return whether they are gone."""
        ...

    def remove_stage_data(self, workflow: str, request_id: str) -> None:
        """Remove what the stages of a request yielded."""
        ...


class BlobFolder:
    """One folder for each request: ``<root>/<workflow>/<request id>``.

    The names in a path are checked, so that no path leaves the root. Every method raises StoreFull
    or StoreRefused when the disk fails, and StoreUnavailable when the shared place does not answer.

    Args:
        root: The root folder; it need not exist.
        shared: The place that has all blobs; then those in the folder are copies.
    """

    def __init__(self, root: Path, shared: SharedPlace | None = None) -> None:
        self._root = root.absolute()
        self._root_name = str(self._root)
        self._shared = shared

    @property
    def is_shared(self) -> bool:
        """Whether a shared place has all blobs."""
        return self._shared is not None

    def path(self, workflow: str, request_id: str) -> Path:
        """Return the folder of a request, which may not exist yet.

        Raises:
            InvalidInput: One of the names is not a name.
        """
        check_name("workflow", workflow)
        check_name("request", request_id)
        return Path(self.name(workflow, request_id))

    def name(self, workflow: str, request_id: str) -> str:
        """Return the path of a request that exists, as text; its names were checked before."""
        return f"{self._root_name}/{workflow}/{request_id}"

    def readable(self, folder: str) -> str | os.PathLike[str]:
        """Return a folder that ``name`` gave for reading, which fetches what it lacks."""
        return folder if self._shared is None else self._shared.folder(folder)

    def share(self, folder: str, name: str, size_bytes: int, checksum: int) -> None:
        """Put a new blob of a folder into the shared place, if there is one."""
        if self._shared is not None:
            self._shared.put(folder, name, size_bytes, checksum)

    def create(self, workflow: str, request_id: str) -> Path:
        """Return the folder of a request and make sure that it exists."""
        path = self.path(workflow, request_id)
        create_folder(path)
        return path

    def put(self, workflow: str, request_id: str, name: str, body: bytes) -> None:
        """Write a blob as a whole; it is on disk, and its name too, when this returns.

        In the shared place it is as well, if there is one.
        """
        folder = self.create(workflow, request_id)
        try:
            _write(folder, name, body)
            sync_folders(str(folder / name))
        except OSError as error:
            raise translate(error, folder / name) from error
        self.share(str(folder), name, len(body), zlib.crc32(body))

    def make_durable(self, workflow: str, request_id: str, name: str) -> None:
        """Sync a blob that was written without; it is removed if that fails.

        What Linux could not write since the blob was closed, it tells the next who syncs it. A lack
        of this process alone loses nothing: the blob stays, since a request that is asked for again
        may have been accepted with it.

        Raises:
            StoreFull: No room is left.
            StoreRefused: It is missing, or cannot be synced.
            StoreUnavailable: The process lacks descriptors or memory.
        """
        path = f"{self.name(workflow, request_id)}/{name}"
        try:
            _sync_file(path)
            sync_folders(path)
        except OSError as error:
            if not is_own_lack(error):
                with suppress(OSError):
                    os.unlink(path)
            raise translate(error, Path(path)) from error

    def get(
        self, workflow: str, request_id: str, name: str, size_bytes: int, checksum: int
    ) -> bytes:
        """Return a blob as it is here; if that is not what was written, as in the shared place.

        Raises:
            BlobDamaged: It is missing, or what is in the place is not what was written.
            BlobUnreadable: It cannot be read.
            StoreUnavailable: It cannot be read at the moment.
        """
        folder = self.path(workflow, request_id)
        try:
            if self._shared is None:
                return _read(folder / name, size_bytes)
            with suppress(FileNotFoundError):
                body = _read(folder / name, size_bytes)
                if (len(body), zlib.crc32(body)) == (size_bytes, checksum):
                    return body
            self._shared.fetch(str(folder), name, size_bytes, checksum)
            return _read(folder / name, size_bytes)
        except OSError as error:
            raise translate_read(error, name) from error

    def has(self, workflow: str, request_id: str) -> bool:
        """Tell whether a request has a folder here."""
        return os.path.lexists(self.path(workflow, request_id))

    def remove_stage_data(self, workflow: str, request_id: str) -> None:
        """Remove what the stages of a request yielded, and its folder if nothing else is in it.

        In the shared place it is removed as well.
        """
        path = self.path(workflow, request_id)
        if self._shared is not None:
            self._shared.remove_stage_data(workflow, request_id)
        try:
            for item in list(os.scandir(path)):
                if item.name.endswith(STAGE_DATA):
                    os.unlink(item.path)
            path.rmdir()
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise translate(error, path) from error

    def remove(
        self, workflow: str, request_id: str, is_stopping: Callable[[], bool] = lambda: False
    ) -> bool:
        """Remove the folder of a request with everything in it; a missing folder is fine.

        A sweep of the shared place finds what is there: most requests have nothing.

        Returns whether it is gone, which it is not if ``is_stopping`` meanwhile.
        """
        path = self.path(workflow, request_id)
        try:
            if not _clear(path, is_stopping):
                return False
            path.rmdir()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise translate(error, path) from error
        return True

    def remove_everywhere(self, workflow: str, request_id: str) -> None:
        """Remove the folder of a request, and what is in the shared place."""
        self.remove(workflow, request_id)
        if self._shared is not None:
            self._shared.remove(workflow, request_id)

    def unload(self, workflow: str, request_id: str, unused_s: float) -> int:
        """Remove the copies of a request that nobody used for so long; return how many.

        What the shared place lacks, or has cut short, is put there first. What is longer there is
        whole: it was compared when it was put, and a power failure cuts copies here.
        """
        path = self.path(workflow, request_id)
        try:
            if self._shared is None or time.time() - path.stat().st_mtime < unused_s:
                return 0
            sizes = {item.name: item.stat().st_size for item in os.scandir(path) if _is_file(item)}
            there = self._shared.sizes(workflow, request_id) if sizes else {}
            for name, size in sizes.items():
                if there.get(name, -1) < size and not name.endswith(_ALONE):
                    self._shared.put(str(path), name, size)
                os.unlink(path / name)
            path.rmdir()
        except FileNotFoundError:  # somebody else removes it
            return 0
        except OSError as error:
            if error.errno == errno.ENOTEMPTY:  # somebody fetched one meanwhile
                return 0
            raise translate(error, path) from error
        return len(sizes)

    def requests(self) -> Iterator[tuple[str, str]]:
        """Yield the workflow and the id of every request that has a folder, in no order."""
        for workflow in _folders(self._root):
            for request in _folders(workflow):
                yield workflow.name, request.name

    def size_bytes(self) -> int:
        """Return the size of all files, except those that vanish meanwhile."""
        return sum(_sizes(self._root))


def _read(path: Path, size_bytes: int) -> bytes:
    """Return the content of a file; of what is longer than it was, a byte too many."""
    with open(open_regular(str(path)), "rb") as file:
        return file.read(min(size_bytes, os.fstat(file.fileno()).st_size) + 1)


def _sync_file(path: str) -> None:
    opened = open_regular(path)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _write(folder: Path, name: str, body: bytes) -> None:
    """Write a file under a temporary name, and give it its own once it is on disk."""
    descriptor, draft = tempfile.mkstemp(".part", f"{name}.", folder)
    try:
        with open(descriptor, "wb") as file:
            file.writelines(pieces(body))
            file.flush()
            os.fsync(descriptor)
        os.rename(draft, folder / name)
    except OSError:
        with suppress(OSError):
            os.unlink(draft)
        raise


def _clear(path: Path, is_stopping: Callable[[], bool]) -> bool:
    """Remove the contents of a folder, without following links; return False if stopped."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with os.scandir(folder) as items:
            for item in items:
                if is_stopping():
                    return False
                if item.is_dir(follow_symlinks=False):
                    shutil.rmtree(item.name, dir_fd=folder)
                else:
                    os.unlink(item.name, dir_fd=folder)
    finally:
        os.close(folder)
    return True


def _is_file(item: os.DirEntry[str]) -> bool:
    return item.is_file(follow_symlinks=False)


def _folders(parent: Path) -> Iterator[Path]:
    try:
        with os.scandir(parent) as items:
            for item in items:
                if item.is_dir(follow_symlinks=False) and is_name(item.name):
                    yield parent / item.name
    except FileNotFoundError:
        return
    except OSError as error:
        raise translate(error, parent) from error


def _sizes(root: Path) -> Iterator[int]:
    for folder, _, names in os.walk(root):
        for name in names:
            try:
                yield os.lstat(os.path.join(folder, name)).st_size
            except FileNotFoundError:
                continue
