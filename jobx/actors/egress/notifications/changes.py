"""Tells people which handlers have changed."""

from __future__ import annotations

from collections.abc import Callable

from jobx.actors.notification import Notification, handlers_changed
from jobx.handlers.authoring.library import Library


class HandlerChanges:
    """Compares the handlers of a library with what they were at the last look.

    Args:
        library: The handlers.
        notify: Hears of each that has changed.
    """

    def __init__(self, library: Library, notify: Callable[[Notification], None]) -> None:
        self._library = library
        self._notify = notify
        self._versions = library.versions()

    def look(self) -> None:
        """Tell of handlers that have changed since the last look; at once if none has."""
        before, self._versions = self._versions, self._library.versions()
        if self._versions is not before and self._versions != before:
            for notification in handlers_changed(before, self._versions):
                self._notify(notification)
