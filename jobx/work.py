"""What a node tells an executor: work, the handlers for it, and which suspended mappers to close.

The answers are in ``segments.py``. The node keeps at most two work frames in an executor: one at
work, one behind it. An executor answers each with exactly one ``ResultReport`` of the same ``id``,
and nothing else of this. Values of callers and authors travel packed.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

from jobx import values
from jobx.errors import UNREADABLE, FrameError
from jobx.payload import PayloadWire

#: What a batch of mappers takes for each in the mean, below which data of stages is not kept.
QUICK_NS: Final = 250_000
#: A packed map without entries.
EMPTY_MAP: Final = b"\x80"
#: More than a year; NaN is none.
Limit: TypeAlias = Annotated[float, Meta(gt=0, le=1e8)]
#: Bounded, since another node may have sent it, and ranges of Python are.
Vertex: TypeAlias = Annotated[int, Meta(ge=0, lt=1 << 62)]
Count: TypeAlias = Annotated[int, Meta(ge=1, le=1 << 20)]


class RequestInfo(Struct, frozen=True, dict=True):
    """The request of work, as its handlers see it."""

    id: str
    workflow: str
    job: str
    packed_context: bytes = EMPTY_MAP

    @cached_property
    def context(self) -> dict[str, Any]:
        """What the caller told about itself."""
        found: dict[str, Any] = values.unpack(self.packed_context)
        return found


class BlobPart(Struct, frozen=True):
    """Items in a blob.

    Attributes:
        name: The blob …
        size_bytes: … its size …
        checksum: … and its checksum.
        start: The byte at which the first one begins.
        stop: The byte at which the last one has ended.
        ends: Where each ends, packed as ``payload.pack_offsets`` does …
        sums: … and its checksum. Both may be of all items together, or empty.
    """

    name: str
    size_bytes: int
    checksum: int
    start: int
    stop: int
    ends: bytes = b""
    sums: bytes = b""


class Work(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="t"):
    """Base of work.

    Attributes:
        request: The request that it is of.
        step: The name of its step.
        time_limit_s: For one invocation.
        inline_bytes: Larger output goes to blobs.
        sections: Of each run of an output that is too large for memory; 1: it has none.
        sync: Blobs are synced to disk before the result is sent.
    """

    request: RequestInfo
    step: str
    time_limit_s: Limit
    inline_bytes: int
    sections: int = 1
    sync: bool = False

    @property
    def kind(self) -> str:
        """What is to be done, in a word."""
        return str(self.__struct_config__.tag)

    @property
    def vertices(self) -> range:
        """The vertices of its invocations."""
        raise NotImplementedError

    @property
    def versions(self) -> tuple[str, ...]:
        """The handlers that an executor must have for it."""
        return ()

    def limit_s(self, stage: str) -> float:
        """Return the time limit of a stage of an invocation."""
        del stage
        return self.time_limit_s


class MapWork(Work, frozen=True, kw_only=True, tag="map"):
    """A batch: sibling mapper invocations.

    The combiner and the reducer of a mapper that returns run in the same trip, but are separate
    invocations.

    Attributes:
        first: The first vertex.
        count: How many.
        root: It is the root invocation: its item is a list of [name, value], not [key, value].
        mapper: The version of the handler.
        combiner: The version, if there is one.
        reducer: The version; None: stop after the combiner.
        pairs: The items …
        blob: … or where they are.
        chunk_pairs: Most pairs of one mapped chunk.
        batch_s: Seconds after which invocations that have not started are given back.
        attempts: The attempt of each vertex; 1 if absent.
        later_attempts: The same for ``combiner`` and ``reducer``.
        limits_s: The time limits of ``combiner`` and ``reducer``, where they differ.
        keeps: A reducer that fails may be tried again, on the same output.
        data_bytes: Bytes of what its stages yield that are kept for dumps.
    """

    first: Vertex
    count: Count
    root: bool = False
    mapper: str
    combiner: str | None = None
    reducer: str | None = None
    pairs: bytes | None = None
    blob: BlobPart | None = None
    chunk_pairs: int
    batch_s: Annotated[float, Meta(ge=0, le=1e8)]
    attempts: dict[int, int] = {}
    later_attempts: dict[str, dict[int, int]] = {}
    limits_s: dict[str, Limit] = {}
    keeps: bool = False
    data_bytes: Annotated[int, Meta(ge=0, lt=1 << 48)] = 0

    @property
    def vertices(self) -> range:
        """See ``Work``."""
        return range(self.first, self.first + self.count)

    @property
    def versions(self) -> tuple[str, ...]:
        """See ``Work``."""
        return tuple(filter(None, (self.mapper, self.combiner, self.reducer)))

    def limit_s(self, stage: str) -> float:
        """See ``Work``."""
        return self.limits_s.get(stage, self.time_limit_s)


class _VertexWork(Work, frozen=True, kw_only=True):
    vertex: Vertex

    @property
    def vertices(self) -> range:
        """See ``Work``."""
        return range(self.vertex, self.vertex + 1)


class PullWork(_VertexWork, frozen=True, kw_only=True, tag="pull"):
    """The next chunks of a suspended mapper.

    Attributes:
        chunks: Most of them.
    """

    chunks: Annotated[int, Meta(ge=1, le=1 << 16)] = 1


class CombineWork(_VertexWork, frozen=True, kw_only=True, tag="combine"):
    """A combiner alone; only trials send it, for in a node it runs with its mapper."""

    attempt: int = 1
    combiner: str
    inputs: list[PayloadWire]

    @property
    def versions(self) -> tuple[str, ...]:
        """See ``Work``."""
        return (self.combiner,)


class ReduceWork(_VertexWork, frozen=True, kw_only=True, tag="reduce"):
    """A reducer, of one partition.

    Attributes:
        attempt: Its attempt.
        reducer: The version of the handler.
        inputs: Payloads; values of a key keep their order.
        partition: Which one …
        partitions: … of how many; 1: all keys.
        session: What the mapper left, packed.
    """

    attempt: int = 1
    reducer: str
    inputs: list[PayloadWire]
    partition: int = 0
    partitions: int = 1
    session: bytes = EMPTY_MAP

    @property
    def versions(self) -> tuple[str, ...]:
        """See ``Work``."""
        return (self.reducer,)


AnyWork: TypeAlias = MapWork | PullWork | CombineWork | ReduceWork


class WorkFrame(Struct, frozen=True, tag="work", tag_field="t"):
    """Work on its way to an executor.

    Attributes:
        id: Unique for the life of the node.
        blob_dir: The folder of the request's blobs, on the machine of the executor.
        blob_stem: The prefix of the names of blobs written for it.
        work: What is to be done.
    """

    id: int
    blob_dir: str
    blob_stem: str
    work: AnyWork


class LoadHandler(Struct, frozen=True, tag="load", tag_field="t"):
    """A handler, before its first use in this executor.

    Attributes:
        file: The author's own file of it; "" where only the source is known.
    """

    version: str
    name: str
    workflow: str
    handler_type: str
    source_type: str
    source_code: str
    argument_spec: list[tuple[str, str]] = []
    per_key: bool = False
    file: str = ""


class DropMappers(Struct, frozen=True, tag="drop", tag_field="t"):
    """Suspended mappers of a request that are to be closed; None: all of them."""

    request_id: str
    vertices: list[int] | None = None


class Leave(Struct, frozen=True, tag="leave", tag_field="t"):
    """The executor is to leave after the work at hand."""


Order: TypeAlias = WorkFrame | LoadHandler | DropMappers | Leave

_ORDER: Final = msgspec.msgpack.Decoder(WorkFrame | LoadHandler | DropMappers | Leave)


def decode(body: bytes) -> Order:
    """Return what a node says in a frame's body; raises FrameError when it is something else."""
    try:
        order: Order = _ORDER.decode(body)
    except UNREADABLE as error:
        raise FrameError(f"an executor knows no such frame: {error}") from error
    return order
