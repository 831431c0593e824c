"""Views of long logs, which a node reads in parts: they are asked for until all of it is read."""

from __future__ import annotations

import time
from typing import Final, TypeVar

from jobx import views
from jobx.questions import Question
from jobx.tools.shared import render
from jobx.tools.shared.gateway_client import GatewayClient

#: How long a node may take for a part: it starts a reader for it.
ANSWER_S: Final = 30.0
#: How long a log is read before what was read of it is shown.
WHOLE_S: Final = 120.0
A = TypeVar("A", bound=views.View)


def ask(gateway: GatewayClient, question: Question[A], seconds: float = WHOLE_S) -> A:
    """Return the answer to a question about a log, of all of it if it is read in this time."""
    until = time.monotonic() + seconds
    while True:
        view = gateway.call(question, ANSWER_S)
        if reading_of(view) is None or time.monotonic() > until:
            return view


def reading_of(view: views.View) -> views.Reading | None:
    """Return how far the log of a view was read; None: to its end, or the view is of no log."""
    found: views.Reading | None = getattr(view, "reading", None)
    return found


def say_rest(view: views.View) -> None:
    """Say how far a log was read, if that is not to its end."""
    reading = reading_of(view)
    if reading is not None:
        events = f"{reading.events:,} of {reading.of:,} events"
        render.say(f"{events} are read, and this is of them; ask again for the rest")
