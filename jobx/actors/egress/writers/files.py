"""The writer ``file``: a file for each result, or a folder with a file for each key."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import groupby, starmap
from pathlib import Path
from typing import Any, ClassVar, Final, TypeAlias

import msgspec

from jobx import values
from jobx.actors.egress.writers import mr_format
from jobx.actors.egress.writers.base import Names, Options, Result, Writer
from jobx.errors import InvalidInput
from jobx.model import check_name
from jobx.system.disk import sync, translate
from jobx.values import Key, Pair, Value

_WHERE: Final = "result writer file"
_UNSAFE: Final = re.compile(rb"[^A-Za-z0-9_.-]")
#: Longest name that is not shortened; file systems allow 255 bytes.
_MAX_NAME: Final = 200
#: Name and contents of the file of one key.
_File: TypeAlias = tuple[str, Iterable[bytes]]


class FileOptions(Options, frozen=True, kw_only=True):
    """Options of the writer ``file``."""

    #: A folder below ``results.file_path``, names separated by ``/``.
    folder: str = ""
    per_key: bool = False


class FileWriter(Writer[FileOptions]):
    """Writes ``<file_path>/<folder>/<workflow>/<request id>.ndjson``, ``[key, value]`` a line.

    With ``per_key`` it is a folder ``<request id>`` with a file for each key, a value a line.
    Either appears as a whole, once it is on the disk. In the format of mr, either is
    ``<file_path>/<folder>/<request id>``.
    """

    name: ClassVar[str] = "file"
    options: ClassVar[type[Any]] = FileOptions

    def defaults(self) -> Mapping[str, Any]:
        """Return the deployment's options."""
        return {"per_key": self.site.settings.results.file_per_key}

    def check(self, options: FileOptions) -> None:
        """Refuse a folder that is not a plain path downwards."""
        self._path(Names("w", "j", "r"), options)

    def place(self, names: Names, options: FileOptions) -> str:
        """Return the path."""
        return str(self._path(names, options))

    def write(self, result: Result, options: FileOptions) -> None:
        """Write the result; a repeat changes nothing.

        Raises:
            StoreFull, StoreRefused: The disk failed.
        """
        path = self._path(result.names, options)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():  # otherwise it appeared as a whole
                _write_whole(path, self._contents(result, options))
            sync(path.parent)
        except OSError as error:
            raise translate(error, path) from error

    def _path(self, names: Names, options: FileOptions) -> Path:
        root = self.site.settings.results.file_path
        if not root:
            raise InvalidInput(_WHERE, "no folder", "needs results.file_path")
        below = [
            check_name(f"{_WHERE}: folder", part) for part in options.folder.split("/") if part
        ]
        if not self._is_mr:
            below.append(names.workflow)
        name = names.request_id
        if not self._is_mr and not options.per_key:
            name += ".ndjson"
        return Path(root).expanduser().absolute().joinpath(*below, name)

    def _contents(self, result: Result, options: FileOptions) -> Callable[[Path], None]:
        """Return what writes the contents of a result to a path."""
        if not options.per_key:
            return partial(_write_file, mr_format.rows(result) if self._is_mr else result.lines())
        make = _file_of_mr if self._is_mr else _file
        return partial(_write_folder, starmap(make, _by_key(result.pairs())))

    @property
    def _is_mr(self) -> bool:
        return self.site.settings.results.format == mr_format.NAME


def file_name(key: Key) -> str:
    """Return the file name of a key: no two keys share one, and none leaves its folder.

    Text is unchanged, except that characters other than letters, digits, ``_``, ``-`` and ``.``
    are encoded (``%41``). Other keys are ``=`` and their JSON. Long names are cut and end with a
    hash.
    """
    if isinstance(key, str) and key:
        name = _escape(key.encode("utf-8", "surrogatepass"))
    else:
        name = "=" + _escape(msgspec.json.encode(values.to_jsonable(key)))
    if len(name) > _MAX_NAME:
        return f"{name[:_MAX_NAME]}~{hashlib.sha256(name.encode()).hexdigest()[:32]}"
    return name


def _escape(text: bytes) -> str:
    escaped = _UNSAFE.sub(lambda found: b"%%%02X" % found[0][0], text).decode()
    return f"%2E{escaped[1:]}" if escaped.startswith(".") else escaped


def _write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Write a temporary file and rename it; a failure leaves nothing, not even on a full disk."""
    draft = path.with_name(f".{path.name}.partial")
    _remove(draft)  # a killed node left it
    try:
        write(draft)
        draft.rename(path)
    except BaseException:
        _remove(draft)
        raise


def _remove(draft: Path) -> None:
    with suppress(OSError):
        draft.unlink()
    shutil.rmtree(draft, ignore_errors=True)


def _write_file(pieces: Iterable[bytes], path: Path) -> None:
    with open(path, "wb") as file:
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())


def _write_folder(files: Iterable[_File], folder: Path) -> None:
    folder.mkdir()
    for name, lines in files:
        with open(folder / name, "wb") as file:
            file.writelines(lines)
    os.sync()  # a sync for each of many small files would occupy the disk


def _by_key(pairs: Iterable[Pair]) -> Iterator[tuple[Key, Iterator[Value]]]:
    for (_, key), group in groupby(pairs, lambda pair: (values.key_identity(pair[0]), pair[0])):
        yield key, (value for _, value in group)


def _file(key: Key, found: Iterator[Value]) -> _File:
    return file_name(key), map(json_line, found)


def _file_of_mr(key: Key, found: Iterator[Value]) -> _File:
    (last,) = deque(found, maxlen=1)  # as mr did, it replaces the others
    return mr_format.file_name(key) or file_name(key), [mr_format.text(last)]


def json_line(value: Value) -> bytes:
    """Return a value as a line of JSON."""
    return msgspec.json.encode(values.to_jsonable(value)) + b"\n"
