"""The folders that hold the large values of requests."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from jobx.errors import InvalidInput
from jobx.model import check_name
from jobx.system.disk import create_folder, translate
from jobx.system.errors import translate_read


class BlobFolder:
    """One folder for each request: ``<root>/<workflow>/<request id>``.

    The names in a path are checked, so that no path leaves the root. Every method raises StoreFull
    or StoreRefused when the disk fails.

    Args:
        root: The root folder; it need not exist.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._root_name = str(self._root)

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

    def create(self, workflow: str, request_id: str) -> Path:
        """Return the folder of a request and make sure that it exists."""
        path = self.path(workflow, request_id)
        create_folder(path)
        return path

    def put(self, workflow: str, request_id: str, name: str, body: bytes) -> None:
        """Write a blob as a whole; it is on disk, and its name too, when this returns."""
        folder = self.create(workflow, request_id)
        try:
            _write(folder, name, body)
            for path in (folder, folder.parent, folder.parent.parent):
                _sync(path)
        except OSError as error:
            raise translate(error, folder / name) from error

    def get(self, workflow: str, request_id: str, name: str) -> bytes:
        """Return a blob.

        Raises:
            BlobDamaged: It is missing.
            BlobUnreadable: It cannot be read.
            StoreUnavailable: It cannot be read at the moment.
        """
        try:
            return (self.path(workflow, request_id) / name).read_bytes()
        except OSError as error:
            raise translate_read(error, name) from error

    def remove(
        self, workflow: str, request_id: str, is_stopping: Callable[[], bool] = lambda: False
    ) -> bool:
        """Remove the folder of a request with everything in it; a missing folder is fine.

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

    def requests(self) -> Iterator[tuple[str, str]]:
        """Yield the workflow and the id of every request that has a folder, in no order."""
        for workflow in _folders(self._root):
            for request in _folders(workflow):
                yield workflow.name, request.name

    def size_bytes(self) -> int:
        """Return the size of all files, except those that vanish meanwhile."""
        return sum(_sizes(self._root))


def _write(folder: Path, name: str, body: bytes) -> None:
    """Write a file under a temporary name, and give it its own once it is on disk."""
    descriptor, draft = tempfile.mkstemp(".part", f"{name}.", folder)
    try:
        with open(descriptor, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(descriptor)
        os.rename(draft, folder / name)
    except OSError:
        with suppress(OSError):
            os.unlink(draft)
        raise


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


def _folders(parent: Path) -> Iterator[Path]:
    try:
        with os.scandir(parent) as items:
            for item in items:
                if item.is_dir(follow_symlinks=False) and _is_name(item.name):
                    yield parent / item.name
    except FileNotFoundError:
        return
    except OSError as error:
        raise translate(error, parent) from error


def _is_name(text: str) -> bool:
    try:
        check_name("folder", text)
    except InvalidInput:
        return False
    return True


def _sizes(root: Path) -> Iterator[int]:
    for folder, _, names in os.walk(root):
        for name in names:
            try:
                yield os.lstat(os.path.join(folder, name)).st_size
            except FileNotFoundError:
                continue
