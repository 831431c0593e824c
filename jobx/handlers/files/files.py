"""``FS``: the shared files of a workflow, as author code sees them."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, BinaryIO, Final

from jobx.handlers.files import folders
from jobx.handlers.files.backend import WORKING, BackEnd, Stat, failure
from jobx.handlers.files.naming import named
from jobx.handlers.files.paths import Parts, normalise, refused
from jobx.handlers.files.quota import Metered, Quota

_MODES: Final = frozenset({"r", "rt", "rb", "w", "wt", "wb"})
#: Name prefix of the threads of back ends, to tell them from threads of authors.
OWN_THREADS: Final = "jobx-files"
_BUFFER_BYTES: Final = 1 << 18
#: Number of names in the path of a workflow's folder.
_HOME_DEPTH: Final = 2


class FS:
    """Files and folders below the folder of the current workflow, which is created on first use.

    Paths are relative to that folder, with ``/`` between names; ``.`` is the folder itself. A path
    that may lead out of it raises PathRefused, a PermissionError, before the back end is asked.
    Errors are those of the system (FileNotFoundError and so on), with the path as it was given.

    Args:
        workflow: Returns the name of the current workflow.
        connect: Opens the back end; called when it is first used.
        quota_bytes: Size of all files of one workflow together; 0 means no limit.
    """

    def __init__(
        self, workflow: Callable[[], str], connect: Callable[[], BackEnd], quota_bytes: int = 0
    ) -> None:
        self._workflow = workflow
        self._connect = connect
        self._quota_bytes = quota_bytes
        self._connected: BackEnd | None = None
        self._homes: set[Parts] = set()
        self._quotas: dict[str, Quota] = {}

    def mkdir(self, path: str, recursive: bool = False, allow_recreate: bool = False) -> None:
        """Create a folder.

        Args:
            path: The folder.
            recursive: Also create its parents.
            allow_recreate: Accept an existing folder.
        """
        with named(path):
            place = self._entry(path)
            for depth in range(_HOME_DEPTH + 1, len(place) if recursive else 0):
                folders.ensure(self._back_end, place[:depth])
            folders.ensure(self._back_end, place) if allow_recreate else self._back_end.mkdir(place)

    def ls(self, path: str = ".") -> Iterator[tuple[str, Stat]]:
        """Return name and stat of the entries of a folder, sorted by name."""
        with named(path):
            place = self._here(path)
            found = self._back_end.list(place)
        return ((stat.name, stat) for stat in sorted(found, key=lambda stat: stat.name))

    def cp(self, source: str, target: str, overwrite: bool = False) -> None:
        """Copy a file to the path ``target``, which may exist only with ``overwrite``."""
        with named(source, target):
            before, after = self._pair(source, target, overwrite)
            stat = self._back_end.stat(before)
            if stat.is_folder:
                raise failure(errno.EISDIR)
            self._copy(before, after, stat.size)

    def cpr(self, source: str, target: str, overwrite: bool = False) -> None:
        """Copy a folder and everything in it to the path ``target``.

        With ``overwrite`` the target may exist; only files of the same names are replaced.
        """
        with named(source, target):
            before, after = self._pair(source, target, overwrite)
            if not self._back_end.stat(before).is_folder:
                raise failure(errno.ENOTDIR)
            self._copy_folder(before, after)

    def mv(self, source: str, target: str, overwrite: bool = False) -> None:
        """Move a file or folder to the path ``target``; ``overwrite`` replaces a file."""
        with named(source, target):
            before, after = self._pair(source, target, overwrite)
            self._back_end.move(before, after)
            self._forget_use()

    def rm(self, path: str) -> None:
        """Remove a file."""
        with named(path):
            place = self._entry(path)
            self._back_end.remove(place)
            self._forget_use()

    def rmdir(self, path: str, force: bool = False) -> None:
        """Remove a folder; with ``force`` also a full one with everything in it."""
        with named(path):
            place = self._entry(path)
            if force:
                folders.empty(self._back_end, place)
            self._back_end.rmdir(place)
            self._forget_use()

    def exists(self, path: str) -> bool:
        """Tell whether a file or folder exists."""
        with named(path):
            return folders.find(self._back_end, self._here(path)) is not None

    def isfile(self, path: str) -> bool:
        """Tell whether the path is a file."""
        with named(path):
            found = folders.find(self._back_end, self._here(path))
        return found is not None and not found.is_folder

    def isdir(self, path: str) -> bool:
        """Tell whether the path is a folder."""
        with named(path):
            found = folders.find(self._back_end, self._here(path))
        return found is not None and found.is_folder

    def get_stat(self, path: str) -> Stat:
        """Return the metadata of a file or folder."""
        with named(path):
            place = self._here(path)
            return self._back_end.stat(place)

    def get_filesize(self, path: str) -> int:
        """Return the size of a file in bytes."""
        stat = self.get_stat(path)
        with named(path):
            if stat.is_folder:
                raise failure(errno.EISDIR)
        return stat.size

    @contextmanager
    def open(
        self,
        path: str,
        mode: str = "r",
        encoding: str = "utf-8",
        errors: str | None = None,
        newline: str | None = None,
    ) -> Iterator[IO[Any]]:
        """Open a file for the length of a ``with``.

        A written file appears as a whole when the block ends well. Nobody sees half of it, and if
        the block raises, nothing changes.

        Args:
            path: The file.
            mode: ``r``, ``rb``, ``w`` or ``wb``.
            encoding: Encoding of text.
            errors: Handling of encoding errors; see ``codecs``.
            newline: See ``io.TextIOWrapper``.

        Raises:
            ValueError: Another mode. A file changes only as a whole, so there is no appending.
        """
        if mode not in _MODES:
            raise ValueError(f"mode {mode!r} is none of r, rb, w, wb: a file changes as a whole")
        opened = self._writing(path) if mode.startswith("w") else self._reading(path)
        with opened as file:
            if "b" in mode:
                yield file
                return
            text = io.TextIOWrapper(file, encoding, errors, newline)
            yield text
            if not text.closed:
                text.flush()

    @contextmanager
    def _reading(self, path: str) -> Iterator[BinaryIO]:
        with named(path):
            place = self._entry(path)
            file = self._back_end.read(place)
        with file:
            yield file

    @contextmanager
    def _writing(self, path: str) -> Iterator[BinaryIO]:
        with named(path):
            place = self._entry(path)
            replaced_bytes = self._size(place)
            draft = self._back_end.draft(place)
        metered = Metered(draft.file, self._quota, replaced_bytes)
        file = io.BufferedWriter(metered, _BUFFER_BYTES)
        try:
            yield file
            if not file.closed:
                file.flush()
            with named(path):
                draft.publish()
            metered.count()
        finally:
            metered.end()
            file.close()
            draft.close()

    @property
    def _back_end(self) -> BackEnd:
        if self._connected is None:
            self._connected = self._connect()
        return self._connected

    @property
    def _quota(self) -> Quota | None:
        """The quota of the current workflow."""
        if not self._quota_bytes:
            return None
        workflow = self._workflow()
        if workflow not in self._quotas:
            home = (WORKING, workflow)
            self._quotas[workflow] = Quota(
                workflow, self._quota_bytes, lambda: folders.use_bytes(self._back_end, home)
            )
        return self._quotas[workflow]

    def _here(self, path: str) -> Parts:
        """Return the place of a path, which may be the workflow's folder."""
        return self._place(normalise(path))

    def _entry(self, path: str) -> Parts:
        """Return the place of a path, which may not be the workflow's folder."""
        return self._place(_names(path))

    def _place(self, parts: Parts) -> Parts:
        """Return the back end's path of ``parts`` in the current workflow's folder."""
        home = (WORKING, *normalise(self._workflow()))
        if home not in self._homes:
            for depth in range(1, len(home) + 1):
                folders.ensure(self._back_end, home[:depth])
            self._homes.add(home)
        return home + parts

    def _pair(self, source: str, target: str, overwrite: bool) -> tuple[Parts, Parts]:
        """Return the places of the source and the target of a copy or move."""
        names, new_names = _names(source), _names(target)
        if new_names[: len(names)] == names:
            raise OSError(errno.EINVAL, "the target is the source, or in it")
        before, after = self._place(names), self._place(new_names)
        if not overwrite and folders.find(self._back_end, after) is not None:
            raise failure(errno.EEXIST)
        return before, after

    def _copy(self, before: Parts, after: Parts, size_bytes: int) -> None:
        growth_bytes = size_bytes - self._size(after)
        if self._quota is not None:
            self._quota.admit(growth_bytes)
        self._back_end.copy(before, after)
        if self._quota is not None:
            self._quota.grew(growth_bytes)

    def _copy_folder(self, before: Parts, after: Parts) -> None:
        folders.ensure(self._back_end, after)
        for stat in self._back_end.list(before):
            source, target = (*before, stat.name), (*after, stat.name)
            if stat.is_folder:
                self._copy_folder(source, target)
            else:
                self._copy(source, target, stat.size)

    def _size(self, place: Parts) -> int:
        """Return the size of the file at ``place`` if a quota needs it; 0 when there is none."""
        found = folders.find(self._back_end, place) if self._quota_bytes else None
        return found.size if found else 0

    def _forget_use(self) -> None:
        if self._quota is not None:
            self._quota.forget()


def shared_files(settings: Mapping[str, Any], workflow: Callable[[], str]) -> FS:
    """Return ``FS`` for the settings; the back end is loaded and opened on first use.

    Args:
        settings: ``FilesSettings`` as plain values.
        workflow: Returns the name of the current workflow.
    """

    def connect() -> BackEnd:
        from jobx.handlers.files import opening  # noqa: PLC0415 - most executors never need it

        return opening.connect(opening.from_plain(settings))

    return FS(workflow, connect, settings["quota_bytes"])


def _names(path: str) -> Parts:
    """Return the names of a path that is not the workflow's folder itself."""
    parts = normalise(path)
    if not parts:
        raise refused("the workflow's own folder stays as it is", path)
    return parts
