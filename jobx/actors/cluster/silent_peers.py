"""Names the registered nodes that do not answer."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import Final

from jobx import __version__
from jobx.actors.cluster.members import NodeRecord
from jobx.actors.cluster.silence import Silence
from jobx.actors.runtime.scheduler import Scheduler, Timer

_LOG: Final = logging.getLogger(__name__)


class SilentPeers:
    """Names those that have not answered for a while, and looks again in time.

    Args:
        scheduler: The loop.
        find: Returns those that do not answer now.
    """

    def __init__(self, scheduler: Scheduler, find: Callable[[], Mapping[str, NodeRecord]]) -> None:
        self._scheduler = scheduler
        self._find = find
        self._silence = Silence()
        self._timer: Timer | None = None
        self._is_closed = False

    def look(self) -> None:
        """Name those whose time has come; to be called when some answer, or no more."""
        self._stop()
        if self._is_closed:
            return
        now, silent = self._scheduler.now(), self._find()
        for name in self._silence.due(silent.keys(), now):
            _LOG.warning(
                "node %s is registered, but does not answer, so it gets no work and gives none: "
                "does its bridge.nsqd (%s) reach it from here, and ours from there? "
                "Loopback and firewalls are usual causes%s",
                *(name, silent[name].nsqd, _other_version(silent[name])),
            )
        if (next_at := self._silence.next_at) < math.inf:
            self._timer = self._scheduler.call_later(max(0.0, next_at - now), self.look)

    def close(self) -> None:
        """Name nobody any more."""
        self._is_closed = True
        self._stop()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _other_version(record: NodeRecord) -> str:
    if record.version in ("", __version__):
        return ""
    return f"; so are versions that are far apart: its JobX is {record.version}, ours {__version__}"
