"""What processes and folders take, read from ``/proc`` and the disk."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.processes import descendants

_SAMPLE_S = 0.5
_LISTENS = "0A"
#: 127.0.0.1 and ::1, as the kernel writes them.
_LOOPBACK = {"tcp": "0100007F:", "tcp6": "00000000000000000000000001000000:"}
_MB = 1 << 20


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process."""
    return _status_mb(pid, "VmRSS")


def peak_rss_mb(pid: int) -> float:
    """Return the largest resident memory that a process had so far."""
    return _status_mb(pid, "VmHWM")


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wide_listeners(pid: int) -> list[str]:
    """Return the addresses beyond loopback where a process and those below it listen, in hex."""
    inodes = set()
    for one in {pid, *descendants(pid)}:
        for link in Path(f"/proc/{one}/fd").iterdir():
            try:
                inodes.add(os.readlink(link))
            except FileNotFoundError:  # it was closed meanwhile
                continue
    found = []
    for name, loopback in _LOOPBACK.items():
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            is_here = f"socket:[{fields[9]}]" in inodes and fields[3] == _LISTENS
            if is_here and not fields[1].startswith(loopback):
                found.append(fields[1])
    return found


class Watch:
    """Watches all processes below one, and a folder, from another thread; a context manager.

    Attributes:
        rss_mb: Peak resident memory of the largest process.
        disk_mb: Peak size of the folder beyond what it had at first.
    """

    def __init__(self, root_pid: int | None, folder: Path) -> None:
        self.rss_mb = 0.0
        self.disk_mb = 0.0
        self._root_pid = root_pid
        self._folder = folder
        self._before_mb = _size_mb(folder)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            last = self._ended.wait(_SAMPLE_S)
            self._sample()
            if last:
                return

    def _sample(self) -> None:
        self.disk_mb = max(self.disk_mb, _size_mb(self._folder) - self._before_mb)
        if self._root_pid is not None:
            for pid in {self._root_pid, *descendants(self._root_pid)}:
                self.rss_mb = max(self.rss_mb, peak_rss_mb(pid))


def _status_mb(pid: int, field: str) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    sizes = dict(line.split(":", 1) for line in status.splitlines())
    return int(sizes.get(field, "0 kB").split()[0]) * 1024 / _MB


def _size_mb(folder: Path) -> float:
    size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(os.path.join(parent, name)).st_blocks * 512
            except FileNotFoundError:  # it was removed meanwhile
                continue
    return size / _MB
