"""What an executor answers its node: segments of a result, and the frames that they come in.

What a node sends is in ``work.py``. What invocations left travels packed: it is author's data,
which ``values.unpack`` reads with care.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Raw, Struct

from jobx import values
from jobx.errors import UNREADABLE, FrameError
from jobx.model import Failure
from jobx.payload import Number, PayloadWire, StageData, unpack_offsets

#: What invocations left: a packed map of vertex to ``output`` (captured text; ``combiner_output``
#: and ``reducer_output`` of those that ran in the trip of their mapper), ``session`` (map of what
#: the mapper S_SET) and ``notifications`` (lists of channel, level, handler, template, message,
#: text). A vertex that left nothing is absent.
RawNotes: TypeAlias = Raw
NO_NOTES: Final = Raw(b"\x80")
#: A stage of the trip of a mapper.
Stage: TypeAlias = Literal["mapper", "combiner", "reducer"]


class Returned(Struct, frozen=True, array_like=True, tag="returned"):
    """Mappers that returned data, with their combiner and, if ``reduced``, their reducer done.

    Attributes:
        vertex: The first of them.
        count: How many; one that is not reduced is alone.
        payloads: Their output together, values of a key in the order of vertices.
        reduced: See above.
        durations: 3 x count unsigned 32-bit microseconds: all mappers, combiners, reducers.
        notes: What they left.
    """

    vertex: Number
    count: Number
    payloads: list[PayloadWire]
    reduced: bool
    durations: bytes
    notes: RawNotes = NO_NOTES


class MappedChunk(Struct, frozen=True, array_like=True, tag="mapped"):
    """A chunk of children; ``more``: the mapper is kept suspended, ask with ``pull``."""

    vertex: Number
    step: str
    payload: PayloadWire
    digest: str
    more: bool
    duration_us: Number
    notes: RawNotes = NO_NOTES


class Combined(Struct, frozen=True, array_like=True, tag="combined"):
    """A combiner that ran alone."""

    vertex: Number
    payloads: list[PayloadWire]
    duration_us: Number
    notes: RawNotes = NO_NOTES


class Reduced(Struct, frozen=True, array_like=True, tag="reduced"):
    """A reducer, of one partition."""

    vertex: Number
    partition: Number
    payloads: list[PayloadWire]
    duration_us: Number
    notes: RawNotes = NO_NOTES


class FailedRun(Struct, frozen=True, array_like=True, tag="failed"):
    """An invocation that failed: a mapper, or the ``stage`` of its trip that did.

    With ``keeps`` the mapper of a reducer comes before it as ``Returned``, not reduced; without,
    the mapper has to run again.
    """

    vertex: Number
    failure: Failure
    duration_us: Number = 0
    notes: RawNotes = NO_NOTES
    stage: Stage = "mapper"


class Unstarted(Struct, frozen=True, array_like=True, tag="unstarted"):
    """Invocations that were not tried: too many mappers are kept, or the batch is to end."""

    vertex: Number
    count: Number


Segment: TypeAlias = Returned | MappedChunk | Combined | Reduced | FailedRun | Unstarted


class ReadyReport(Struct, frozen=True, tag="ready", tag_field="t"):
    """An executor can take work; said once."""

    pid: int


class ResultReport(Struct, frozen=True, tag="result", tag_field="t", omit_defaults=True):
    """The answer to the work frame of the same ``id``; without segments: it was recalled.

    ``data`` is what the stages of its mappers yielded, if that was kept.
    """

    id: int
    request_id: str
    segments: list[Segment]
    data: StageData | None = None


class Leaving(Struct, frozen=True, tag="leaving", tag_field="t"):
    """An executor exits now, with what it was sent meanwhile undone."""


class UnreadReport(Struct, frozen=True):
    """What the node makes of a frame that it cannot read; ``id`` is None when none is seen."""

    id: int | None
    reason: str


Report: TypeAlias = ReadyReport | ResultReport | Leaving

_ENCODER: Final = msgspec.msgpack.Encoder()
_REPORT: Final = msgspec.msgpack.Decoder(ReadyReport | ResultReport | Leaving)


def pack_notes(notes: dict[int, Any]) -> RawNotes:
    """Return notes packed; raises InvalidInput where one is no value."""
    return Raw(values.pack(notes)) if notes else NO_NOTES


def read_notes(notes: RawNotes) -> dict[int, dict[str, Any]]:
    """Return notes by vertex; raises InvalidInput when they are damaged."""
    packed = memoryview(notes)
    return values.unpack(packed) if len(packed) > 1 else {}


def spent_us(segment: Segment) -> int | None:
    """Return the microseconds that invocations took; None if they were not started."""
    if isinstance(segment, Unstarted):
        return None
    if isinstance(segment, Returned):
        return sum(unpack_offsets(segment.durations))
    return segment.duration_us


def size_of(segment: Segment) -> int:
    """Return how many bytes a segment takes; raises FrameError when it cannot be sent."""
    try:
        return len(_ENCODER.encode(segment))
    except UNREADABLE as error:
        raise FrameError(str(error)) from error


def decode(body: bytes | bytearray) -> Report:
    """Return what an executor says in a frame's body; raises FrameError when it is something else.

    Notes are not looked at; see ``read_notes``.
    """
    try:
        report: Report = _REPORT.decode(body)
    except UNREADABLE as error:
        raise FrameError(str(error)) from error
    return report
