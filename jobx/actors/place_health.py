"""Whether the shared place of large values answers, asked now and then."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable

from jobx.actors import notification
from jobx.actors.notification import Notification
from jobx.errors import JobxError
from jobx.handlers.blobs.shared import SharedBlobs
from jobx.handlers.files import folders
from jobx.handlers.files.backend import BLOBS, BackEnd

_log = logging.getLogger(__name__)


class PlaceHealth:
    """Asks the place, and tells people once when it is away, and once when it is back.

    Args:
        node_id: The node.
        notify: Hears of both.

    Attributes:
        trouble: Why it cannot be used, or None.
    """

    def __init__(self, node_id: str, notify: Callable[[Notification], None]) -> None:
        self.trouble: str | None = None
        self._node_id = node_id
        self._notify = notify
        self._found: JobxError | None = None

    def look(self, shared: SharedBlobs) -> None:
        """Ask the place; blocks, at most as long as one of its calls."""
        try:
            shared.call(_find)
            self._found = None
        except JobxError as error:
            self._found = error

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
