"""Whether the answer of an executor can be of the work that it was sent.

Code of authors runs in an executor and may write to its socket. What does not fit is the fault of
that executor, so it is found before anybody counts on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from jobx.errors import UNREADABLE
from jobx.payload import Payload, PayloadWire
from jobx.segments import FailedRun, MappedChunk, Reduced, Returned, Segment, Unstarted
from jobx.work import MapWork, PullWork, ReduceWork, Work


class _Notes(Struct):
    """What one invocation left; see ``segments.RawNotes``."""

    output: str = ""
    combiner_output: str = ""
    reducer_output: str = ""
    session: dict[str, Raw] = {}
    notifications: list[tuple[str, str, str, str, str, str]] = []


_NOTES: Final = msgspec.msgpack.Decoder(dict[int, _Notes])
#: What may be answered, by the kind of work.
_ANSWERS: Final[Mapping[type[Work], tuple[type[Any], ...]]] = {
    MapWork: (Returned, MappedChunk, FailedRun, Unstarted),
    PullWork: (MappedChunk, FailedRun),
    ReduceWork: (Reduced, FailedRun),
}


def fault_in(work: Work, segments: Sequence[Segment], *, is_recalled: bool) -> str | None:
    """Return what is wrong with an answer to work; None if it fits.

    Together its segments are of each vertex once, in order: one that is left out would be waited
    for in vain. Of a mapper that is pulled there may be as many as were asked for. Without
    segments, it is to a reducer that was recalled. The values that authors left in notes are not
    looked at; ``segments.read_notes`` finds damage.
    """
    vertices = work.vertices
    if not segments and is_recalled and isinstance(work, ReduceWork):
        return None
    due, kept, is_pull = vertices.start, -1, isinstance(work, PullWork)
    for segment in segments:
        count = segment.count if isinstance(segment, Returned | Unstarted) else 1
        may_follow = segment.vertex == kept and (is_pull or isinstance(segment, FailedRun))
        start = kept if may_follow else due
        reason = _fault(work, segment, range(segment.vertex, segment.vertex + count))
        if reason is None and (segment.vertex != start or not 0 < count <= vertices.stop - start):
            reason = f"{count} of it, where vertices {due} to {vertices.stop - 1} are left"
        if reason is not None:
            return f"{type(segment).__name__} of vertex {segment.vertex}: {reason}"
        due, kept = start + count, _to_follow(work, segment)
    if isinstance(work, PullWork) and len(segments) > work.chunks:
        return f"{len(segments)} chunks instead of {work.chunks}"
    return None if due == vertices.stop else f"nothing of vertices {due} to {vertices.stop - 1}"


def _to_follow(work: Work, segment: Segment) -> int:
    """Return the vertex of which there may be another segment; -1 if there is none.

    A mapper that is pulled may have several chunks. One whose output was kept comes before its
    reducer that failed.
    """
    if isinstance(work, PullWork):
        return segment.vertex if isinstance(segment, MappedChunk) and segment.more else -1
    keeps = isinstance(work, MapWork) and work.keeps
    return segment.vertex if keeps and isinstance(segment, Returned) and not segment.reduced else -1


def _fault(work: Work, segment: Segment, own: range) -> str | None:
    if not isinstance(segment, _ANSWERS[type(work)]):
        return f"it is no answer to {work.kind!r}"
    if isinstance(segment, Unstarted):
        return None
    return _fault_in_body(work, segment) or _fault_in_notes(segment.notes, own)


def _fault_in_body(work: Work, segment: Segment) -> str | None:
    if isinstance(segment, MappedChunk):
        return _fault_in_chunk(segment.payload)
    if isinstance(segment, Returned) and len(segment.durations) != 12 * segment.count:
        return f"its durations are {len(segment.durations)} bytes"
    if isinstance(segment, Reduced) and segment.partition != getattr(work, "partition", 0):
        return f"it is of partition {segment.partition}"
    if isinstance(segment, Returned | Reduced):
        return next(filter(None, map(_fault_in_place, segment.payloads)), None)
    return None


def _fault_in_chunk(wire: PayloadWire) -> str | None:
    chunk = Payload.from_wire(wire)
    if len(chunk.offsets) != 4 * chunk.count:
        return f"its offsets are {len(chunk.offsets)} bytes for {chunk.count} children"
    if len(chunk.sums) not in (0, len(chunk.offsets)):
        return f"its checksums are {len(chunk.sums)} bytes for {chunk.count} children"
    return _fault_in_place(wire)


def _fault_in_place(wire: PayloadWire) -> str | None:
    payload = Payload.from_wire(wire)
    if (payload.inline is None) == (payload.blob is None):
        return "its payload is in the frame or in a blob, in one of them"
    if payload.inline is not None and len(payload.inline) != payload.size_bytes:
        return f"its payload of {payload.size_bytes} bytes has {len(payload.inline)}"
    return None


def _fault_in_notes(packed: Raw, own: range) -> str | None:
    body = memoryview(packed)
    if len(body) == 1 and body[0] == 0x80:  # nearly always: an empty map
        return None
    try:
        notes = _NOTES.decode(body)
    except UNREADABLE as error:
        return f"its notes: {error}"
    strangers = [vertex for vertex in notes if vertex not in own]
    return f"its notes are of vertex {strangers[0]}" if strangers else None
