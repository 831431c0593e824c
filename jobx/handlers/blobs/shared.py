"""Blobs in a place that all nodes of a store share; the folder of a node is their cache.

Whoever writes a blob puts it there before anybody hears of it, and whoever misses one fetches it.
Below the place, requests have the same paths as in the folder, ``blobs/<workflow>/<request>``.
"""

from __future__ import annotations

import errno
import os
import secrets
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import PurePath
from typing import Any, BinaryIO, Final, TypeAlias, TypeVar

from jobx.errors import BlobDamaged
from jobx.handlers.blobs.blob_file import BlobFile
from jobx.handlers.blobs.place import PlaceClient
from jobx.handlers.files import folders
from jobx.handlers.files.backend import BLOBS, BackEnd
from jobx.handlers.files.paths import Parts
from jobx.model import check_name, is_name
from jobx.payload import STAGE_DATA
from jobx.system.disk import open_regular
from jobx.system.errors import translate_read

T = TypeVar("T")

_PIECE_BYTES: Final = 1 << 20
_MISSING: Final = (FileNotFoundError, NotADirectoryError)


class SharedFolder(os.PathLike[str]):
    """The folder of a request here, which can fetch what it lacks."""

    def __init__(self, shared: SharedBlobs, path: str) -> None:
        self._shared = shared
        self._path = path

    def __fspath__(self) -> str:
        return self._path

    def has(self, name: str, size_bytes: int) -> bool:
        """Whether a blob is here in its size."""
        try:
            return os.lstat(os.path.join(self._path, name)).st_size == size_bytes
        except OSError:
            return False

    def fetch(self, name: str, size_bytes: int, checksum: int) -> None:
        """Copy a blob from the shared place to here; see ``SharedBlobs.fetch``."""
        self._shared.fetch(self._path, name, size_bytes, checksum)


#: The folder of a request's blobs.
Folder: TypeAlias = "str | os.PathLike[str]"


def open_blob(folder: Folder, name: str, size_bytes: int, checksum: int) -> int:
    """Return a descriptor of a blob, which is fetched first if it is not here in its size.

    A loss of power may leave a copy that is cut.

    Raises:
        OSError: It is here and cannot be opened, or it is not here and nothing is shared.
        JobxError: As ``SharedBlobs.fetch``.
    """
    if isinstance(folder, SharedFolder) and not folder.has(name, size_bytes):
        folder.fetch(name, size_bytes, checksum)
    return open_regular(os.path.join(folder, name))


def distrust(folder: Folder, name: str) -> bool:
    """Remove a copy whose content is wrong; return whether the next reader fetches the blob again.

    What is not shared stays: there is no other copy.
    """
    if not isinstance(folder, SharedFolder):
        return False
    with suppress(OSError):  # whoever reads it next finds the same
        os.unlink(os.path.join(folder, name))
    return True


class SharedBlobs(PlaceClient):
    """The place of blobs that all nodes share. Takes what ``PlaceClient`` does."""

    def __init__(
        self, where: str, connect: Callable[[], BackEnd], timeout_s: float, patience_s: float
    ) -> None:
        super().__init__(where, connect, timeout_s, patience_s)
        #: Folders that exist: of workflows, and of the last request.
        self._made: set[Parts] = set()

    def folder(self, path: str) -> SharedFolder:
        """Return the folder of a request here, ``…/<workflow>/<request>``, noted as in use."""
        with suppress(OSError):  # it may not exist yet
            os.utime(path)
        return SharedFolder(self, path)

    def put(self, path: str, name: str, size_bytes: int, checksum: int | None = None) -> None:
        """Copy a blob from the folder of its request to the place, and return when it is there.

        Args:
            path: The folder of the request here.
            name: The blob.
            size_bytes: Its size.
            checksum: Its CRC-32; None: it is not compared.

        Raises:
            BlobDamaged: It is not here, or not what was written.
            StoreFull: The place has no room.
            StoreUnavailable: The place does not answer, or refuses.
        """
        place = _place(path)
        with _opened(os.path.join(path, name), name) as file:

            def copy(back_end: BackEnd) -> None:
                file.seek(0)
                try:
                    self._ensure(back_end, place)
                    with closing(back_end.draft((*place, name))) as draft:
                        found = _copy(file, lambda piece: _write(draft.file, piece), size_bytes)
                        expected = size_bytes, found[1] if checksum is None else checksum
                        _check(name, found, expected)
                        draft.publish()
                except _MISSING:
                    self._made = set()  # a folder was removed; the next try creates it
                    raise

            self.call(copy, size_bytes)

    def fetch(self, path: str, name: str, size_bytes: int, checksum: int) -> None:
        """Copy a blob from the place to the folder of its request, where it appears as a whole.

        Raises:
            BlobDamaged: It is not there, or not what was written.
            StoreFull: There is no room here.
            StoreUnavailable: The place does not answer, or refuses.
        """

        def copy(back_end: BackEnd) -> None:
            part = f"{name}.{secrets.token_hex(8)}"
            with (
                self._read(back_end, (*_place(path), name)) as source,
                BlobFile(path, part) as blob,
            ):
                _copy(source, blob.write, size_bytes)
                _check(name, (blob.size_bytes, blob.checksum), (size_bytes, checksum))
            os.rename(os.path.join(path, part), os.path.join(path, name))

        self.call(copy, size_bytes)

    def sizes(self, workflow: str, request_id: str) -> dict[str, int]:
        """Return the blobs of a request in the place with their sizes; none if it has no folder."""
        place = (BLOBS, workflow, request_id)
        return self.call(lambda back_end: {one.name: one.size for one in _list(back_end, place)})

    def requests(self) -> Iterator[tuple[str, str]]:
        """Yield the workflow and the id of every request that has a folder, in no order."""
        for workflow in self._names((BLOBS,)):
            for request_id in self._names((BLOBS, workflow)):
                yield workflow, request_id

    def remove(
        self, workflow: str, request_id: str, is_stopping: Callable[[], bool] = lambda: False
    ) -> bool:
        """Remove the blobs of a request from the place, as ``kv.blobs.BlobFolder.remove``."""
        place = (BLOBS, check_name("workflow", workflow), check_name("request", request_id))
        for name in self.sizes(workflow, request_id):
            if is_stopping():
                return False
            self.call(partial(_remove, place=(*place, name)))
        self.call(partial(_remove_folder, place=place))
        return True

    def remove_stage_data(self, workflow: str, request_id: str) -> None:
        """Remove what the stages of a request yielded, as ``kv.blobs.BlobFolder`` does."""
        place = (BLOBS, check_name("workflow", workflow), check_name("request", request_id))
        for name in self.sizes(workflow, request_id):
            if name.endswith(STAGE_DATA):
                self.call(partial(_remove, place=(*place, name)))

    def _ensure(self, back_end: BackEnd, place: Parts) -> None:
        """Create the folders of a request.

        The first one is there since the first start. If not, something else is: a mount is gone.
        """
        needed = {place[:depth] for depth in range(2, len(place) + 1)}
        for one in sorted(needed - self._made, key=len):
            folders.ensure(back_end, one)
        # A new set: another thread may be reading the old one.
        self._made = needed | {one for one in self._made if len(one) < len(place)}

    def _read(self, back_end: BackEnd, place: Parts) -> BinaryIO:
        try:
            return back_end.read(place)
        except _MISSING as error:
            if folders.find(back_end, (BLOBS,)) is None:
                raise OSError(errno.ENODEV, f"it has no folder {BLOBS} any more") from error
            raise BlobDamaged(place[-1], f"it is neither here nor in {self.where}") from error

    def _names(self, place: Parts) -> Iterator[str]:
        found = self.call(lambda back_end: _list(back_end, place))
        yield from (one.name for one in found if one.is_folder and is_name(one.name))


def _place(path: str) -> Parts:
    """Return where the blobs of a request are below the place, by its folder here."""
    workflow, request_id = PurePath(path).parts[-2:]
    return BLOBS, check_name("workflow", workflow), check_name("request", request_id)


@contextmanager
def _opened(path: str, name: str) -> Iterator[BinaryIO]:
    try:
        file = open(open_regular(path), "rb", buffering=0)  # noqa: SIM115 - closed below
    except OSError as error:
        raise translate_read(error, name) from error
    with file:
        yield file


def _copy(source: BinaryIO, write: Callable[[bytes], Any], most_bytes: int) -> tuple[int, int]:
    """Copy a file, and return its size and CRC-32; what is larger is not copied to its end."""
    size_bytes = checksum = 0
    while size_bytes <= most_bytes and (piece := source.read(_PIECE_BYTES)):
        write(piece)
        size_bytes += len(piece)
        checksum = zlib.crc32(piece, checksum)
    return size_bytes, checksum


def _write(file: BinaryIO, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[file.write(left) :]


def _check(name: str, found: tuple[int, int], expected: tuple[int, int]) -> None:
    if found[0] != expected[0]:
        raise BlobDamaged(name, f"its size is wrong: {expected[0]:,} bytes were written")
    if found != expected:
        raise BlobDamaged(name, "its checksum is wrong")


def _list(back_end: BackEnd, place: Parts) -> list[Any]:
    try:
        return list(back_end.list(place))
    except _MISSING:
        return []


def _remove(back_end: BackEnd, place: Parts) -> None:
    with suppress(*_MISSING):
        back_end.remove(place)


def _remove_folder(back_end: BackEnd, place: Parts) -> None:
    with suppress(*_MISSING):
        back_end.rmdir(place)
