"""Collecting the segments of a result frame."""

from __future__ import annotations

import array
from collections.abc import Mapping, Sequence
from typing import Any, Final

from jobx import values
from jobx.handlers.pairs.grouping import Groups
from jobx.payload import Payload
from jobx.segments import Returned, Segment, pack_notes, size_of

_MAX_US: Final = 0xFFFFFFFF


def microseconds(duration_ns: int) -> int:
    """Return nanoseconds as microseconds that fit 32 bits."""
    return min(duration_ns // 1000, _MAX_US)


class Segments:
    """Segments in order; mappers that returned in succession share one.

    Attributes:
        size_bytes: Approximate size of the segments so far.
    """

    def __init__(self) -> None:
        self._segments: list[Segment] = []
        self._returned: _Returned | None = None
        self.size_bytes = 0

    def add(self, segment: Segment) -> None:
        """Append a segment."""
        self._finish_returned()
        self.size_bytes += size_of(segment)
        self._segments.append(segment)

    def returned(
        self,
        vertex: int,
        output: Groups,
        reduced: bool,
        durations_ns: tuple[int, int, int],
        notes: Mapping[str, Any],
    ) -> None:
        """Add a mapper that returned data, with the durations of it, its combiner and its reducer.

        Takes over ``output``, whose writer must be the one for output that leaves the executor.
        """
        returned = self._returned
        # Output that still has to be reduced is reduced for each mapper alone.
        if returned is not None and reduced and returned.reduced:
            returned.output.absorb(output)
        else:
            self._finish_returned()
            returned = self._returned = _Returned(vertex, output, reduced)
        returned.durations_ns.append(durations_ns)
        if notes:
            returned.notes[vertex] = notes
            self.size_bytes += len(values.pack(notes))

    def close(self) -> list[Segment]:
        """Return all segments."""
        self._finish_returned()
        return self._segments

    def _finish_returned(self) -> None:
        returned = self._returned
        if returned is not None:
            payloads = returned.output.payloads()
            for payload in payloads:
                self.size_bytes += len(payload.inline or b"")
            self._segments.append(returned.segment(payloads))
            self._returned = None


class _Returned:
    """Neighbouring mappers that returned data, with their joint output."""

    __slots__ = ("durations_ns", "first", "notes", "output", "reduced")

    def __init__(self, first: int, output: Groups, reduced: bool) -> None:
        self.first = first
        self.output = output
        self.reduced = reduced
        self.durations_ns: list[tuple[int, int, int]] = []
        self.notes: dict[int, Mapping[str, Any]] = {}

    def segment(self, written: Sequence[Payload]) -> Returned:
        payloads = [payload.to_wire() for payload in written]
        by_stage = zip(*self.durations_ns, strict=True)
        in_us = [min(ns // 1000, _MAX_US) for part in by_stage for ns in part]
        durations = array.array("I", in_us)
        count, notes = len(self.durations_ns), pack_notes(self.notes)
        return Returned(self.first, count, payloads, self.reduced, durations.tobytes(), notes)
