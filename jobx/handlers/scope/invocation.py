"""An invocation as it runs in an executor."""

from __future__ import annotations

import math
from contextvars import Context
from typing import Any, Final

from jobx.handlers.scope.secrets import Redactor
from jobx.values import Value
from jobx.work import RequestInfo

#: Notifications of one invocation, and the length of each of their parts.
MAX_NOTIFICATIONS: Final = 16
NOTIFICATION_CHARACTERS: Final = 2000
_NOTHING_HIDDEN: Final = Redactor()


class Invocation:
    """One execution of author code, with its output.

    Attributes:
        context: Its context variables, the decimal context included; no other code sees them.
        request: The request.
        step: Name of the step.
        vertex: Number of the invocation in its request.
        attempt: The number of the attempt, from 1.
        stage: The current stage: ``mapper``, ``combiner`` or ``reducer``.
        handler: Name of the current handler.
        given: The pair or arguments of a mapper, for its failure.
        deadline: Monotonic instant at which the soft time limit ends it.
        time_limit_s: That limit.
        session: The values that the mapper stored; a session from outside is not in its notes.
        output: Captured output as bytes, by stage.
        notifications: Notifications by author code, see ``tell``.
    """

    __slots__ = (
        "_cut",
        "_first_stage",
        "_owns_session",
        "_redactor",
        "_room",
        "attempt",
        "context",
        "deadline",
        "given",
        "handler",
        "notifications",
        "output",
        "request",
        "session",
        "stage",
        "step",
        "time_limit_s",
        "vertex",
    )

    def __init__(
        self,
        request: RequestInfo,
        step: str,
        vertex: int,
        attempt: int,
        *,
        output_bytes: int,
        stage: str = "mapper",
        session: dict[str, Value] | None = None,
        given: object = None,
        redactor: Redactor = _NOTHING_HIDDEN,
    ) -> None:
        self.context = Context()
        self.request = request
        self.step = step
        self.vertex = vertex
        self.attempt = attempt
        self.stage = self._first_stage = stage
        self.given = given
        self.handler = ""
        self.deadline = self.time_limit_s = math.inf
        self._owns_session = session is None
        self.session = {} if session is None else session
        self.output: dict[str, list[bytes]] = {}
        self.notifications: list[list[str]] = []
        self._redactor = redactor
        self._room = output_bytes
        self._cut: dict[str, int] = {}  # bytes by stage

    @property
    def id(self) -> str:
        """The id in its request, for the current stage: ``m0``, ``c17``, ``r17``."""
        return f"{self.stage[0]}{self.vertex}"

    @property
    def is_later(self) -> bool:
        """Whether a combiner or reducer is running in the trip of its mapper."""
        return self.stage != self._first_stage

    @property
    def is_told_input(self) -> bool:
        """Whether ``given`` is the input of the current stage."""
        return self.given is not None and not self.is_later

    def write(self, piece: bytes) -> None:
        """Add captured output, as far as there is room."""
        kept = piece[: self._room]
        if kept:
            self.output.setdefault(self.stage, []).append(kept)
            self._room -= len(kept)
        if lost := len(piece) - len(kept):
            self._cut[self.stage] = self._cut.get(self.stage, 0) + lost

    def tell(self, channel: str, level: str, template: str, message: str, text: str) -> None:
        """Keep a notification: its channel (``NOTIFY`` for all), its line, more text.

        Text that is too long is cut. Excess notifications go to the captured output instead.
        """
        if len(self.notifications) == MAX_NOTIFICATIONS:
            line = f"{channel} {level}, one of too many: {message}\n"
            self.write(line.encode("utf-8", "backslashreplace"))
            return
        parts = map(self._redactor.text, (template, message, text))
        cut = [_printable(part[:NOTIFICATION_CHARACTERS]) for part in parts]
        self.notifications.append([channel, level, self.handler, *cut])

    def captured(self) -> dict[str, str]:
        """Return the captured output by stage, without secrets; a last line counts cut bytes."""
        return {stage: self._text(stage) for stage in self.output | self._cut}

    def _text(self, stage: str) -> str:
        cut = self._cut.get(stage, 0)
        body = self._redactor.body(b"".join(self.output.get(stage, ())), is_cut=cut > 0)
        text = body.decode("utf-8", "replace")
        return f"{text}\n[{cut} bytes of output were cut]\n" if cut else text

    def notes(self) -> dict[str, Any]:
        """Return the notes of the invocation for its segment; empty if there are none."""
        notes: dict[str, Any] = {}
        if self.output or self._cut:
            for stage, text in self.captured().items():
                notes["output" if stage == self._first_stage else f"{stage}_output"] = text
        if self.session and self._owns_session:
            notes["session"] = self.session
        if self.notifications:
            notes["notifications"] = self.notifications
        return notes


def _printable(text: str) -> str:
    """Return text that can be encoded, without half surrogate pairs."""
    return text.encode("utf-8", "backslashreplace").decode()
