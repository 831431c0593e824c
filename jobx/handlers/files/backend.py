"""The contract of back ends of ``FS``."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO, Final, Literal, Protocol

from jobx.handlers.files.paths import Parts

#: Folders below the URL: of the workflows' folders, of blobs, and of unfinished files.
WORKING: Final = "working"
BLOBS: Final = "blobs"
TEMPORARY: Final = "temporary"
_COPY_BYTES: Final = 1 << 20
#: What a stat has.
_KEYS: Final = ("name", "type", "size", "modified_at", "st_mode", "ctime")


@dataclass(frozen=True, slots=True)
class Stat:
    """The metadata of a file or folder.

    Attributes:
        name: The last name of its path.
        type: ``file`` or ``directory``.
        size: Bytes of a file, 0 for a folder.
        modified_at: When it was last written, or None if the store does not know.

    Handlers in the form of mr find them by name, too: ``stat["size"]``.
    """

    name: str
    type: Literal["file", "directory"]
    size: int = 0
    modified_at: float | None = None

    @property
    def st_mode(self) -> int:
        """The kind of file as in ``os.stat``; no permissions."""
        return stat.S_IFDIR if self.is_folder else stat.S_IFREG

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.type == "directory"

    @property
    def ctime(self) -> float | None:
        """``modified_at``, as mr called it."""
        return self.modified_at

    def __getitem__(self, name: str) -> object:
        """Return an attribute; raises KeyError."""
        if name not in _KEYS:
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the attributes."""
        return iter(_KEYS)

    def keys(self) -> Sequence[str]:
        """Return the names of the attributes."""
        return _KEYS

    def get(self, name: str, default: object = None) -> object:
        """Return an attribute, or ``default`` if there is none of that name."""
        return self[name] if name in _KEYS else default


class Draft(Protocol):
    """A file that is not visible yet.

    Attributes:
        file: An unbuffered file to write to.
    """

    file: BinaryIO

    def publish(self) -> None:
        """Move it to its place at once; this replaces an existing file."""
        ...

    def close(self) -> None:
        """Discard it, unless it was published."""
        ...


class BackEnd(Protocol):
    """A store of files and folders.

    Paths are names from the root downwards, at least one, each checked by ``paths.normalise``.
    Every method raises the OSError that the system would raise, without secrets in its text.
    """

    def stat(self, path: Parts) -> Stat:
        """Return the metadata of a file or folder."""
        ...

    def list(self, path: Parts) -> Sequence[Stat]:
        """Return the entries of a folder, in any order."""
        ...

    def mkdir(self, path: Parts) -> None:
        """Create a folder in an existing one."""
        ...

    def rmdir(self, path: Parts) -> None:
        """Remove an empty folder."""
        ...

    def remove(self, path: Parts) -> None:
        """Remove a file."""
        ...

    def move(self, source: Parts, target: Parts) -> None:
        """Move a file or folder; a file at ``target`` is replaced."""
        ...

    def copy(self, source: Parts, target: Parts) -> None:
        """Copy a file; a file at ``target`` is replaced as a whole."""
        ...

    def read(self, path: Parts) -> BinaryIO:
        """Open a file; the reader sees one version of it, or gets an error."""
        ...

    def draft(self, path: Parts) -> Draft:
        """Start a file that appears at ``path`` as a whole; close it at the end."""
        ...

    def clean(self, before_at: float) -> int:
        """Remove the leftovers of writers that died before then; return their number."""
        ...


def failure(number: int) -> OSError:
    """Return the system's error with that number."""
    return OSError(number, os.strerror(number))


def copy_through(back_end: BackEnd, source: Parts, target: Parts) -> None:
    """Copy a file by reading and writing it."""
    with back_end.read(source) as original, closing(back_end.draft(target)) as copied:
        shutil.copyfileobj(original, copied.file, _COPY_BYTES)
        copied.publish()
