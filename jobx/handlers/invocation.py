"""An invocation as it runs in an executor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from jobx.values import Value


class Invocation:
    """One execution of author code, with what it leaves.

    Attributes:
        request: The request's id, workflow, job and context.
        step: Name of the step.
        vertex: Number of the invocation in its request.
        attempt: Which try this is, from 1.
        stage: ``mapper``, ``combiner`` or ``reducer``: what runs now.
        handler: Name of the handler that runs now.
        given: The pair or arguments that a mapper was given, for its failure.
        deadline: Monotonic instant at which the soft time limit ends it.
        session: What the mapper stored; one that it was made with is not among its notes.
        output: Captured output, as bytes.
    """

    __slots__ = (
        "_cut",
        "_owns_session",
        "_room",
        "attempt",
        "deadline",
        "given",
        "handler",
        "output",
        "request",
        "session",
        "stage",
        "step",
        "vertex",
    )

    def __init__(
        self,
        request: Mapping[str, Any],
        step: str,
        vertex: int,
        attempt: int,
        *,
        output_bytes: int,
        session: dict[str, Value] | None = None,
        given: object = None,
    ) -> None:
        self.request = request
        self.step = step
        self.vertex = vertex
        self.attempt = attempt
        self.stage = "mapper"
        self.given = given
        self.handler = ""
        self.deadline = math.inf
        self._owns_session = session is None
        self.session = {} if session is None else session
        self.output: list[bytes] = []
        self._room = output_bytes
        self._cut = 0

    def write(self, piece: bytes) -> None:
        """Keep captured output, as much as there is room for."""
        kept = piece[: self._room]
        if kept:
            self.output.append(kept)
            self._room -= len(kept)
        self._cut += len(piece) - len(kept)

    def captured(self) -> str:
        """Return the captured output; when some was cut, a last line says how much."""
        text = b"".join(self.output).decode("utf-8", "replace")
        return f"{text}\n[{self._cut} bytes of output were cut]\n" if self._cut else text

    def notes(self) -> dict[str, Any]:
        """Return what the invocation leaves for its segment, empty when that is nothing."""
        notes: dict[str, Any] = {}
        if self.output or self._cut:
            notes["output"] = self.captured()
        if self.session and self._owns_session:
            notes["session"] = self.session
        return notes
