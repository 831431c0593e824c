"""Real processes of tests: started, read, seen to be gone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

_DEAD: Final = ("Z", "X")


@contextmanager
def running(command: Sequence[str], **environ: str) -> Iterator[subprocess.Popen[str]]:
    """Run a Python program with pipes for its output; it is killed in the end."""
    process = subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environ},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=60)


class ProcessIdentity(NamedTuple):
    """One process for good: its id may be another's later, but not with the same start."""

    pid: int
    #: In clock ticks since the boot.
    started: int

    @property
    def goes_on(self) -> bool:
        """Whether it still lives."""
        return alive(self.pid) and identity(self.pid) == self


def identity(pid: int) -> ProcessIdentity | None:
    """Return which process has an id now, None when there is none."""
    fields = _stat(pid)
    return ProcessIdentity(pid, int(fields[19])) if fields else None


def alive(pid: int) -> bool:
    """Return whether a process lives; one that is dead and not reaped does not."""
    fields = _stat(pid)
    return bool(fields) and fields[0] not in _DEAD


def _stat(pid: int) -> list[str]:
    """Return the fields of a process from its state on, none when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return stat.rpartition(")")[2].split()


def descendants(pid: int) -> set[int]:
    """Return the ids of all living processes below one."""
    below = _by_parent()
    found: set[int] = set()
    todo = [pid]
    while todo:
        more = below.get(todo.pop(), set()) - found
        found |= more
        todo += more
    return found


def children(pid: int) -> set[int]:
    """Return the ids of the living processes that one has started."""
    return _by_parent().get(pid, set())


def _by_parent() -> dict[int, set[int]]:
    """Return all living processes by the one above them: one look at each."""
    found: dict[int, set[int]] = {}
    for entry in os.listdir("/proc"):
        fields = _stat(int(entry)) if entry.isdigit() else []
        if fields and fields[0] not in _DEAD:
            found.setdefault(int(fields[1]), set()).add(int(entry))
    return found


def words(pid: int) -> list[str]:
    """Return the command line of a process, none when it is gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return []


def open_below(folder: Path) -> list[str]:
    """Return which files of a folder this process has open."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # of another thread, and closed meanwhile
            found.append(os.readlink(f"/proc/self/fd/{name}"))
    return [path for path in found if path.startswith(str(folder.resolve()))]


def parent(pid: int) -> int:
    """Return the id of a process's parent; 0 when the process is gone."""
    fields = _stat(pid)
    return int(fields[1]) if fields else 0
