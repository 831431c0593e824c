"""Faults of the operating system in processes that a test starts: errno by errno, call by call.

``Faults`` compiles ``shim.c`` and owns the table that its processes share::

    faults = Faults(tmp_path)
    with served(tmp_path / "data", **faults.environ) as serving:
        faults.set(full_disk(tmp_path / "data"))  # holds from the next call of all processes
        …
        faults.clear()  # a call that still waits goes on

The node, the web workers, the fork server and the executors are all met; a program that an
executor starts is not, for it gets no variables.
"""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from tests.support.compiled import CompilerMissingError

Call: TypeAlias = Literal[
    "open", "read", "write", "sync", "rename", "unlink", "mkdir", "truncate", "room"
]
#: In the order of the C source. ``sync`` is fsync and fdatasync, ``rename`` also link, ``unlink``
#: also rmdir, ``room`` is statvfs; ``read`` and ``write`` are also pread, readv and the like.
CALLS: Final[tuple[Call, ...]] = (
    *("open", "read", "write", "sync", "rename", "unlink", "mkdir", "truncate", "room"),
)
#: What changes a file or a folder; ``open`` does so only with flags, and is not among it.
CHANGES: Final[tuple[Call, ...]] = ("write", "sync", "rename", "unlink", "mkdir", "truncate")
MAX_RULES: Final = 32
_SOURCE: Final = Path(__file__).with_name("shim.c")
_MAGIC: Final = 0x46415554
_HEAD: Final = struct.Struct("@IIQq")
_RULE: Final = struct.Struct("@IiQqIIqqQ512s256s")
_HITS_OFFSET: Final = struct.calcsize("@IiQqIIqq")
_COUNT_OFFSET: Final = 4
_GENERATION_OFFSET: Final = 8
_CLOCK_OFFSET: Final = 16
_ALWAYS: Final = 1 << 62


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One rule.

    Attributes:
        calls: The calls that it meets.
        path: A pattern as of ``fnmatch`` for the absolute path; of a rename, the new one. ``*``
            matches ``/`` as well. What is no file has a name such as ``socket:[1]``.
        program: A pattern for the command line, its words joined by spaces.
        error: The errno that they end with, without being made; 0: they are made. On ``room``,
            ENOSPC says that there is none.
        delay_s: How long they wait first.
        at_most_bytes: What a read or a write moves at most; 0: all.
        probability: How often it happens.
        skip: Calls that it lets through first.
        count: Calls that it meets then; None: all.
    """

    calls: tuple[Call, ...]
    path: str = "*"
    program: str = "*"
    error: int = 0
    delay_s: float = 0.0
    at_most_bytes: int = 0
    probability: float = 1.0
    skip: int = 0
    count: int | None = None

    def _packed(self) -> bytes:
        calls = sum(1 << CALLS.index(call) for call in self.calls)
        path, program = os.fsencode(self.path), os.fsencode(self.program)
        assert len(path) < 512 and len(program) < 256, self
        left = _ALWAYS if self.count is None else self.count
        chance = round(self.probability * 1_000_000)
        delay_us = round(self.delay_s * 1_000_000)
        fields = (calls, self.error, delay_us, self.at_most_bytes, chance, 0, self.skip, left, 0)
        return _RULE.pack(*fields, path, program)


class Faults:
    """The shim, and the table of the processes that are started with ``environ``.

    Args:
        folder: Where both files are written.

    Raises:
        CompilerMissingError: There is no C compiler.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "faults.table"
        size = _HEAD.size + MAX_RULES * _RULE.size
        path.write_bytes(_HEAD.pack(_MAGIC, 0, 0, 0).ljust(size, b"\0"))
        with path.open("r+b") as file:
            self._table = mmap.mmap(file.fileno(), size)
        #: What the processes must find in their environment.
        self.environ: dict[str, str] = {
            "LD_PRELOAD": str(build(folder)),
            "FAULT_TABLE": str(path),
        }

    def set(self, *faults: Fault | Sequence[Fault]) -> None:
        """Let these hold, and no others."""
        rules = [one for part in faults for one in ([part] if isinstance(part, Fault) else part)]
        assert len(rules) <= MAX_RULES
        self._put("@I", _COUNT_OFFSET, 0)
        for number, rule in enumerate(rules):
            at = _HEAD.size + number * _RULE.size
            self._table[at : at + _RULE.size] = rule._packed()
        (generation,) = struct.unpack_from("@Q", self._table, _GENERATION_OFFSET)
        self._put("@Q", _GENERATION_OFFSET, generation + 1)
        self._put("@I", _COUNT_OFFSET, len(rules))

    @property
    def is_set(self) -> bool:
        """Whether any rule holds."""
        (count,) = struct.unpack_from("@I", self._table, _COUNT_OFFSET)
        return bool(count)

    def clear(self) -> None:
        """Let nothing fail; what waits goes on."""
        self.set()

    def jump(self, seconds: float) -> None:
        """Let the wall clock differ from the machine's; monotonic clocks go on as they do."""
        self._put("@q", _CLOCK_OFFSET, round(seconds * 1_000_000_000))

    def hits(self, number: int = 0) -> int:
        """Return how many calls the n-th of the present rules has met."""
        at = _HEAD.size + number * _RULE.size + _HITS_OFFSET
        (hits,) = struct.unpack_from("@Q", self._table, at)
        return int(hits)

    def _put(self, form: str, at: int, value: int) -> None:
        struct.pack_into(form, self._table, at, value)


def build(folder: Path) -> Path:
    """Compile the shim into a folder and return its path.

    Raises:
        CompilerMissingError: There is no C compiler.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise CompilerMissingError("the C compiler cc is not installed")
    library = folder / "fault_shim.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([*command, "-o", str(library), str(_SOURCE), "-ldl"], check=True, timeout=60)
    return library


def full_disk(folder: Path) -> list[Fault]:
    """There is no room: nothing grows below a folder, and statvfs says so."""
    path = f"{folder.absolute()}*"
    calls: tuple[Call, ...] = ("write", "mkdir", "room")
    return [Fault(calls=calls, path=path, error=errno.ENOSPC)]


def dead_disk(folder: Path) -> list[Fault]:
    """Every call below a folder is an I/O error."""
    path = f"{folder.absolute()}*"
    return [Fault(calls=("open", "read", *CHANGES), path=path, error=errno.EIO)]


def read_only(folder: Path) -> list[Fault]:
    """Below a folder nothing can be changed; what is open for writing fails when it is written."""
    path = f"{folder.absolute()}*"
    return [Fault(calls=CHANGES, path=path, error=errno.EROFS)]


def slow_sync(folder: Path, delay_s: float) -> list[Fault]:
    """A disk on which a sync takes its time."""
    return [Fault(calls=("sync",), path=f"{folder.absolute()}*", delay_s=delay_s)]
