"""Server-sent events: how what happens to a request is written."""

from __future__ import annotations

import random
from typing import Any, Final

import msgspec
from falcon.asgi import SSEvent

from jobx.views import WatchView

MEDIA_EVENTS: Final = "text/event-stream"
#: Headers of a stream. A proxy that buffers what it passes on would hold events back.
HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
#: When clients come again whose stream ends, and the spread that keeps them out of step.
_RETRY_MS: Final = (1000, 3000)


class Written(SSEvent):
    """An event whose bytes are there already, for all who get it."""

    __slots__ = ("_written",)

    def __init__(self, written: bytes) -> None:
        super().__init__()
        self._written = written

    def serialize(self, handler: Any = None) -> bytes:
        """Return the bytes."""
        del handler
        return self._written


def message(view: WatchView) -> Written:
    """Return the event that says how a request stands."""
    name = "end" if view.is_end else "reset" if view.is_reset else "progress"
    head = f"id: {view.as_of}\nevent: {name}\ndata: "
    return Written(b"%s%s\n\n" % (head.encode(), msgspec.json.encode(view)))


def come_again() -> SSEvent:
    """Return the event that says when to come again; the stream ends after it."""
    return SSEvent(retry=random.randint(*_RETRY_MS))  # noqa: S311 - no secret
