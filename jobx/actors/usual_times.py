"""Keeps how long invocations usually take over a restart of the node, in a file beside its store.

Only ``explain`` says it, so a file that is gone, damaged or a minute old does no harm.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from jobx.actors.executors.paces import UsualTime
from jobx.errors import UNREADABLE

#: The file in the data folder.
NAME: Final = "usual_times.json"
#: A larger file is not of this node.
_MOST_BYTES: Final = 1 << 20
_DECODER: Final = msgspec.json.Decoder(list[UsualTime])

_log = logging.getLogger(__name__)


class Known(Protocol):
    """What knows usual times; for the loop alone."""

    def usual_times(self) -> list[UsualTime]:
        """Return those of the versions that ran last."""

    def recall_usual(self, times: Sequence[UsualTime]) -> None:
        """Take them over from an earlier life."""


class UsualTimes:
    """Reads and writes the file in any one thread: ``read``, ``write``; the rest is for the loop.

    Args:
        folder: The data folder.
        known: What knows usual times.
    """

    def __init__(self, folder: Path, known: Known) -> None:
        self._path = folder / NAME
        self._known = known
        self._noted: list[UsualTime] = []
        self._written: list[UsualTime] = []

    def read(self) -> list[UsualTime]:
        """Return what the last life knew; nothing if the file cannot be read."""
        try:
            with self._path.open("rb") as file:
                return _DECODER.decode(file.read(_MOST_BYTES))
        except FileNotFoundError:
            return []
        except (OSError, *UNREADABLE) as error:
            _log.warning("usual times are learned anew, since %s: %s", self._path, error)
            return []

    def recall(self, times: Sequence[UsualTime]) -> None:
        """Tell what was read."""
        self._known.recall_usual(times)

    def note(self) -> None:
        """Take note of what is known now."""
        self._noted = self._known.usual_times()

    def write(self) -> None:
        """Write what was noted, if it has changed; a disk that takes nothing is no trouble here."""
        if self._noted == self._written:
            return
        noted, half = self._noted, self._path.with_suffix(".half")
        try:
            half.touch(mode=0o600)
            half.write_bytes(msgspec.json.encode(noted))
            os.replace(half, self._path)
        except OSError as error:
            _log.debug("usual times were not written: %s", error)
            return
        self._written = noted

    def close(self) -> None:
        """Keep what is known at the end."""
        self.note()
        self.write()
