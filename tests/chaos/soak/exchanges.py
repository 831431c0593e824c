"""The exchanges of a soak as lines of JSON, so that a violation can be looked at afterwards."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path
from typing import Final

import msgspec

from tests.chaos.soak.history import Attempt

#: Lines that one ask may have.
MOST: Final = 300


class Exchanges:
    """Writes each exchange to a file as soon as it is over.

    Args:
        path: The file; it is written anew, and its folder is created.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", buffering=1)
        self._lock = threading.Lock()
        self._lines: Counter[int] = Counter()

    def note(self, attempt: Attempt) -> None:
        """Write one exchange, with the wall-clock time of its end as in ``serve.log``."""
        line = msgspec.json.encode({"at": _now(), **msgspec.to_builtins(attempt)}).decode()
        with self._lock:
            self._lines[attempt.ask] += 1
            if self._lines[attempt.ask] <= MOST and not self._file.closed:
                self._file.write(f"{line}\n")

    def close(self) -> None:
        """Close the file; what comes later is not written."""
        with self._lock:
            self._file.close()


def _now() -> str:
    now = time.time()
    return f"{time.strftime('%H:%M:%S', time.localtime(now))}.{int(now % 1 * 1000):03d}"
