"""Views of long logs, which a node reads in parts: they are asked for until all of it is read."""

from __future__ import annotations

import time
from typing import Final, TypeVar

from jobx import views
from jobx.errors import Overloaded, Unavailable
from jobx.questions import Question
from jobx.tools.shared import render
from jobx.tools.shared.gateway_client import GatewayClient

#: How long a node may take for a part: it starts a reader for it.
ANSWER_S: Final = 30.0
#: How long a log is read before what was read of it is shown.
WHOLE_S: Final = 120.0
#: How often in a row a part is asked for again when the reader died, or others ask too much of it.
TRIES: Final = 5
A = TypeVar("A", bound=views.View)


def ask(gateway: GatewayClient, question: Question[A], seconds: float = WHOLE_S) -> A:
    """Return the answer to a question about a log, of all of it if it is read in this time.

    Raises:
        Unavailable: No reader has answered, time and again.
        JobxError: As the node says.
    """
    until = time.monotonic() + seconds
    while True:
        view = _part(gateway, question, until)
        if reading_of(view) is None or time.monotonic() > until:
            return view


def _part(gateway: GatewayClient, question: Question[A], until: float) -> A:
    """Return the next part; a reader that died is replaced, and goes on where the last one was."""
    tries = 0
    while True:
        try:
            return gateway.call(question, ANSWER_S)
        except Unavailable as error:
            tries += 1
            is_passing = type(error) in (Unavailable, Overloaded) and error.retry_after_s > 0
            again_at = time.monotonic() + error.retry_after_s
            if not is_passing or tries == TRIES or again_at > until:
                raise
            time.sleep(error.retry_after_s)


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
