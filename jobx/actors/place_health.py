"""Whether the shared place of large values answers and takes some, asked now and then."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from contextlib import closing
from typing import Final

from jobx.actors import notification
from jobx.actors.notification import Notification
from jobx.errors import JobxError
from jobx.handlers.blobs.shared import SharedBlobs
from jobx.handlers.files import folders
from jobx.handlers.files.backend import BLOBS, BackEnd

#: More than a file system keeps with the name of a file.
_PROBE: Final = bytes(4096)

_log = logging.getLogger(__name__)


class PlaceHealth:
    """Asks the place, and tells people once when it is away, and once when it is back.

    Args:
        node_id: The node.
        notify: Hears of both.

    Attributes:
        trouble: Why it cannot be used, or None.
        is_there: Whether the last look found it; it may be full, or refuse to be written.
    """

    def __init__(self, node_id: str, notify: Callable[[Notification], None]) -> None:
        self.trouble: str | None = None
        self.is_there = True
        self._node_id = node_id
        self._notify = notify
        self._found: JobxError | None = None

    def look(self, shared: SharedBlobs) -> None:
        """Ask the place; blocks, at most as long as two of its calls."""
        is_there, self._found = False, None
        try:
            shared.call(_find)
            is_there = True
            shared.call(_write)
        except JobxError as error:
            self._found = error
        self.is_there = is_there

    def tell(self) -> None:
        """Tell what the last look found, if that is new."""
        was_away, fault = self.trouble is not None, self._found
        self.trouble = None if fault is None else str(fault)
        if fault is not None and not was_away:
            _log.error("requests with large values wait: %s", fault)
            self._notify(notification.place_away(self._node_id, fault))
        elif fault is None and was_away:
            _log.warning("the shared place of large values is back")
            self._notify(notification.place_back(self._node_id))


def _find(back_end: BackEnd) -> None:
    if folders.find(back_end, (BLOBS,)) is None:
        raise OSError(errno.ENODEV, f"it has no folder {BLOBS} any more")


def _write(back_end: BackEnd) -> None:
    """Write something that is not kept."""
    with closing(back_end.draft((BLOBS, "probe"))) as draft:
        draft.file.write(_PROBE)
