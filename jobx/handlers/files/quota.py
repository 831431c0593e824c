"""The quota of a workflow."""

from __future__ import annotations

import errno
import io
import os
import time
from collections.abc import Callable
from typing import Any, BinaryIO, Final

#: Changes by others are noticed after at most this time.
MEASURE_S: Final = 5.0


class QuotaExceeded(OSError):
    """The write does not fit into the quota of the workflow."""


class Quota:
    """The quota of one workflow as one process sees it.

    Other processes write too, so the use may exceed it by what they write in ``MEASURE_S``.

    Args:
        workflow: Its name.
        limit_bytes: Largest size of its files together.
        measure: Returns that size.
        now: Monotonic seconds.
    """

    def __init__(
        self,
        workflow: str,
        limit_bytes: int,
        measure: Callable[[], int],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workflow = workflow
        self._limit_bytes = limit_bytes
        self._measure = measure
        self._now = now
        self._used_bytes = 0
        self._measured: float | None = None

    def admit(self, growth_bytes: int) -> None:
        """Admit a number of further bytes.

        Raises:
            QuotaExceeded: They do not fit.
        """
        now = self._now()
        if self._measured is None or now - self._measured > MEASURE_S:
            self._take_measure(now)
        if growth_bytes > 0 and self._used_bytes + growth_bytes > self._limit_bytes:
            if self._measured != now:
                self._take_measure(now)
            if self._used_bytes + growth_bytes > self._limit_bytes:
                raise QuotaExceeded(errno.EDQUOT, self._complaint(growth_bytes))

    def grew(self, growth_bytes: int) -> None:
        """Count written bytes."""
        self._used_bytes += growth_bytes

    def forget(self) -> None:
        """Measure again before the next decision, because something was removed."""
        self._measured = None

    def _take_measure(self, now: float) -> None:
        self._used_bytes = self._measure()
        self._measured = now

    def _complaint(self, growth_bytes: int) -> str:
        return (
            f"the quota of workflow {self._workflow} is {self._limit_bytes:,} bytes "
            f"(files.quota_bytes): {self._used_bytes:,} are in use, {growth_bytes:,} do not fit"
        )


class Metered(io.RawIOBase):
    """The file that author code writes to: it checks the quota, and closing it keeps the draft."""

    def __init__(self, file: BinaryIO, quota: Quota | None, replaced_bytes: int) -> None:
        self._file = file
        self._quota = quota
        self._replaced_bytes = replaced_bytes
        self._size_bytes = 0
        self._is_over = False

    def writable(self) -> bool:
        """Tell that it can be written."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be written in any order."""
        return True

    def write(self, piece: Any) -> int:
        """Write bytes; raises QuotaExceeded if they do not fit."""
        if self._is_over:
            return len(piece)  # a buffer flushed after an error is discarded
        end = self._file.tell() + len(piece)
        if end > self._size_bytes:
            if self._quota is not None:
                self._quota.admit(end - self._replaced_bytes)
            self._size_bytes = end
        return self._file.write(piece)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position and return it."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def truncate(self, size: int | None = None) -> int:
        """Cut the file at ``size``, default the position; return its size."""
        self._size_bytes = self._file.truncate(size)
        return self._size_bytes

    def count(self) -> None:
        """Count the published file in the quota."""
        if self._quota is not None:
            self._quota.grew(self._size_bytes - self._replaced_bytes)

    def end(self) -> None:
        """Refuse further writes."""
        self._is_over = True
