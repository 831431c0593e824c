"""What a back end of ``FS`` does."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final, Literal, Protocol

from jobx.handlers.files.paths import Parts

#: Folder of the workflows' folders, and of files that are not whole yet, below the URL.
WORKING: Final = "working"
TEMPORARY: Final = "temporary"


@dataclass(frozen=True, slots=True)
class Stat:
    """What is known of a file or folder.

    Attributes:
        name: Its last name.
        type: ``file`` or ``directory``.
        size: Bytes of a file, 0 for a folder.
        modified_at: When it was last written, or None where the store does not know.
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


class Draft(Protocol):
    """A file that nobody sees yet.

    Attributes:
        file: What to write into, without a buffer.
    """

    file: BinaryIO

    def publish(self) -> None:
        """Let it take its place, all at once; a file that was there is gone then."""
        ...

    def close(self) -> None:
        """Drop it, unless it was published."""
        ...


class BackEnd(Protocol):
    """A store of files and folders.

    Paths are names from the root downwards, at least one, each checked by ``paths.normalise``.
    Every method raises the OSError that the system would raise; what it says holds no secret.
    """

    def stat(self, path: Parts) -> Stat:
        """Return what is known of a file or folder."""
        ...

    def list(self, path: Parts) -> Sequence[Stat]:
        """Return what is in a folder, in any order."""
        ...

    def mkdir(self, path: Parts) -> None:
        """Make a folder in one that exists."""
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
        """Begin a file that is to take its place at ``path`` as a whole; close it in the end."""
        ...

    def clean(self, before_at: float) -> int:
        """Remove what writers that died before then have left; return how many there were."""
        ...


def failure(number: int) -> OSError:
    """Return the system's error of that number."""
    return OSError(number, os.strerror(number))
