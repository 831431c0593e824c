"""How much a workflow may keep."""

from __future__ import annotations

import errno
import io
import os
import time
from collections.abc import Callable
from typing import Any, BinaryIO, Final

#: What others write and remove is noticed after this at the latest.
MEASURE_S: Final = 5.0


class QuotaExceeded(OSError):
    """What was to be written does not fit into the quota of the workflow."""


class Quota:
    """The quota of one workflow as one process sees it.

    Others write too, so it is kept to within what all of them write in ``MEASURE_S``.

    Args:
        workflow: Its name.
        limit_bytes: What its files may take together.
        measure: Returns what they take.
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
        """Let so many bytes more be kept.

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
        """Count what was written."""
        self._used_bytes += growth_bytes

    def forget(self) -> None:
        """Measure anew before the next decision: something was removed."""
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
    """What author code writes through: it checks the quota, and its end is not the draft's."""

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
        """Write bytes; raises QuotaExceeded when there is no room for them."""
        if self._is_over:
            return len(piece)  # a buffer that is flushed after an error has nowhere to go
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
        """Let the quota know of what was published."""
        if self._quota is not None:
            self._quota.grew(self._size_bytes - self._replaced_bytes)

    def end(self) -> None:
        """Take no more."""
        self._is_over = True
