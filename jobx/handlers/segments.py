"""The segments of a result frame while they are put together."""

from __future__ import annotations

import array
from collections.abc import Mapping, Sequence
from typing import Any, Final

from jobx import values
from jobx.handlers.pairs import Groups
from jobx.handlers.spill import RunWriter
from jobx.payload import Payload

Segment = list[Any]

_MAX_US: Final = 0xFFFFFFFF


def microseconds(duration_ns: int) -> int:
    """Return nanoseconds as microseconds that fit 32 bits."""
    return min(duration_ns // 1000, _MAX_US)


class Segments:
    """Segments in order; mappers that returned one after the other share one.

    Args:
        writer: Writes the output of those.
        spill_bytes: How much of it may be held in memory.

    Attributes:
        size_bytes: What the segments so far hold, about.
    """

    def __init__(self, writer: RunWriter, spill_bytes: int) -> None:
        self._writer = writer
        self._spill_bytes = spill_bytes
        self._segments: list[Segment] = []
        self._returned: _Returned | None = None
        self.size_bytes = 0

    def add(self, segment: Segment) -> None:
        """Append a segment."""
        self._finish_returned()
        self.size_bytes += len(values.pack(segment))
        self._segments.append(segment)

    def returned(
        self,
        vertex: int,
        output: Groups,
        reduced: bool,
        durations_ns: tuple[int, int, int],
        notes: Mapping[str, Any],
    ) -> None:
        """Add a mapper that returned data: it, its combiner and its reducer took so long."""
        # What still has to be reduced is reduced for each mapper alone.
        if self._returned is None or not (reduced and self._returned.reduced):
            self._finish_returned()
            output_so_far = Groups(self._writer, self._spill_bytes)
            self._returned = _Returned(vertex, output_so_far, reduced)
        self._returned.take(vertex, output, durations_ns, notes)
        if notes:
            self.size_bytes += len(values.pack(notes))

    def close(self) -> list[Segment]:
        """Return all segments."""
        self._finish_returned()
        return self._segments

    def _finish_returned(self) -> None:
        if self._returned is not None:
            payloads = self._returned.payloads()
            self.size_bytes += sum(len(payload.inline or b"") for payload in payloads)
            self._segments.append(self._returned.segment(payloads))
            self._returned = None


class _Returned:
    """Neighbours that returned data, with their output together."""

    __slots__ = ("_durations", "_first", "_notes", "_output", "reduced")

    def __init__(self, first: int, output: Groups, reduced: bool) -> None:
        self._first = first
        self._output = output
        self.reduced = reduced
        self._durations: list[tuple[int, int, int]] = []
        self._notes: dict[int, Mapping[str, Any]] = {}

    def take(
        self,
        vertex: int,
        output: Groups,
        durations_ns: tuple[int, int, int],
        notes: Mapping[str, Any],
    ) -> None:
        self._output.absorb(output)
        self._durations.append(durations_ns)
        if notes:
            self._notes[vertex] = notes

    def payloads(self) -> list[Payload]:
        return self._output.payloads()

    def segment(self, written: Sequence[Payload]) -> Segment:
        payloads = [payload.to_wire() for payload in written]
        count = len(self._durations)
        by_stage = zip(*self._durations, strict=True)
        durations = b"".join(array.array("I", map(microseconds, part)) for part in by_stage)
        return [
            "returned", self._first, count, payloads, self.reduced, durations, self._notes
        ]  # fmt: skip
