"""The values in a dump: arguments, and what invocations yielded, as far as they are there."""

from __future__ import annotations

import operator
import os
import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from jobx import values
from jobx.errors import BlobDamaged, InvalidInput, JobxError
from jobx.handlers.blobs.shared import Folder, open_blob
from jobx.handlers.pairs import columns, run_merger, sequences
from jobx.kv.blobs import BlobFolder
from jobx.model import Failure, is_name
from jobx.payload import (
    IN_PAYLOADS,
    STAGE_DATA,
    Payload,
    PayloadWire,
    StageData,
    unpack_offsets,
)
from jobx.system.errors import translate_read
from jobx.values import to_jsonable

#: Blobs of stages that are held; neighbours in a log have the same one.
_HELD: Final = 2
#: Most bytes of a blob of stages, also once it is no longer compressed; a node keeps no more.
_MOST_BYTES: Final = 32 << 20
#: Arguments of siblings that are unpacked together, and groups of them that are held: siblings that
#: end one by one are near each other in the log.
_TOGETHER: Final = 16
_GROUPS: Final = 8
#: What records begin with that are not compressed: a packed list of four.
_RECORD: Final = b"\x94"
_ENCODER: Final = msgspec.json.Encoder()
_Item = TypeVar("_Item")


class Shown(NamedTuple):
    """A value as JSON has it, or why it is absent."""

    value: Any = None
    why: str = ""


class _Groups(Generic[_Item]):
    """Arguments of neighbours, in groups that are made together."""

    def __init__(self, make: Callable[[Payload, int, int], list[_Item]]) -> None:
        self._make = make
        self._held: OrderedDict[tuple[int, int], tuple[Payload, list[_Item]]] = OrderedDict()

    def one(self, chunk: Payload, position: int) -> _Item:
        """Return what is made of the item at a position in a chunk with offsets."""
        number, at = divmod(position, _TOGETHER)
        key = id(chunk), number  # of an object that is held, so no other one has it
        found = self._held.get(key)
        if found is None:
            first = number * _TOGETHER
            count = min(_TOGETHER, len(chunk.offsets) // 4 - first)
            found = self._held[key] = chunk, self._make(chunk, first, count)
            if len(self._held) > _GROUPS:
                self._held.popitem(last=False)
        return found[1][at]


class DumpValues:
    """Reads and shows the values of one request.

    Args:
        blobs: The folders of large values.
        workflow: Its workflow.
        request_id: Its id.
        max_bytes: Larger ones are left out.
        is_redacted: Of each only the types and sizes are shown.
    """

    def __init__(
        self,
        blobs: BlobFolder,
        workflow: str,
        request_id: str,
        *,
        max_bytes: int,
        is_redacted: bool,
    ) -> None:
        self._folder: Folder = blobs.readable(blobs.name(workflow, request_id))
        self._max_bytes = max_bytes
        self._is_redacted = is_redacted
        self._groups = _Groups(self._arguments)
        self._encoded_groups = _Groups(self._encoded_arguments)
        self._stages: OrderedDict[str, dict[tuple[int, str], bytes]] = OrderedDict()

    def show(self, value: Any) -> Any:
        """Return a value in JSON's types.

        Raises:
            InvalidInput: It nests deeper than what any handler may yield.
        """
        if values.nests_far(value):
            reason = f"nests deeper than {values.MAX_DEPTH}"
            raise InvalidInput("value", type(value).__name__, reason)
        return self._shown(value)

    def _shown(self, value: Any) -> Any:
        found = to_jsonable(value)
        return redacted(found) if self._is_redacted else found

    def text(self, text: str) -> str:
        """Return text of an author."""
        return f"<{len(text)} characters>" if self._is_redacted and text else text

    def failure(self, failure: Failure) -> Failure:
        """Return a failure, without what it says of values if they are redacted."""
        if not self._is_redacted:
            return failure
        hidden = self.text(failure.message)
        return msgspec.structs.replace(failure, message=hidden, input=None, traceback="")

    def arguments(self, chunk: Payload | None, position: int, count: int) -> list[Shown]:
        """Return the arguments of siblings from a position in their chunk on."""
        if chunk is None:
            return [Shown(why="the event that had them is gone")] * count
        if count == 1 and chunk.inline is not None and chunk.offsets:
            return [self._groups.one(chunk, position)]
        return self._arguments(chunk, position, count)

    def has_room_for(self, chunk: Payload) -> bool:
        """Return whether no item of a chunk is too large to be shown."""
        return chunk.size_bytes <= self._max_bytes

    def encoded_arguments(self, chunk: Payload, position: int, count: int) -> Sequence[bytes]:
        """Return in JSON the arguments of siblings in an inline chunk that there is room for."""
        if count > 1:
            return self._encoded_arguments(chunk, position, count)
        return (self._encoded_groups.one(chunk, position),)

    def _encoded_arguments(self, chunk: Payload, position: int, count: int) -> list[bytes]:
        return _encoded(self._arguments(chunk, position, count))

    def _arguments(self, chunk: Payload, position: int, count: int) -> list[Shown]:
        starts, ends = _bounds(chunk, position, count)
        sizes = list(map(operator.sub, ends, starts))
        if chunk.inline is None or max(sizes) > self._max_bytes:
            return [self._argument(chunk, position + n, size) for n, size in enumerate(sizes)]
        items = sequences.unpack(chunk.inline[starts[0] : ends[-1]], count)
        if values.nests_far(items):  # perhaps the list of them alone does
            return [Shown(self.show(item)) for item in items]
        return list(map(Shown, self._shown(items)))

    def _argument(self, chunk: Payload, position: int, size_bytes: int) -> Shown:
        if size_bytes > self._max_bytes:
            return self._too_large(size_bytes)
        try:
            return Shown(self.show(self.item(chunk, position)))
        except JobxError as error:
            return Shown(why=f"they cannot be read: {error}")

    def item(self, chunk: Payload, position: int) -> Any:
        """Return the item of one mapper.

        Raises:
            JobxError: It cannot be read.
        """
        ((start,), (stop,)) = _bounds(chunk, position, 1)
        if chunk.inline is not None:
            return values.unpack(chunk.inline[start:stop])
        place = str(chunk.blob), chunk.size_bytes, chunk.checksum
        return values.unpack(self._read(*place, start, stop))

    def pairs(self, payloads: Sequence[Payload]) -> Shown:
        """Return the keys of runs with their values."""
        size_bytes = sum([one.size_bytes for one in payloads])
        if size_bytes > self._max_bytes:
            return self._too_large(size_bytes)
        try:
            return Shown(self.show(list(run_merger.merge(payloads, self._folder))))
        except JobxError as error:
            return Shown(why=f"it cannot be read: {error}")

    def stage(self, data: StageData, vertex: int, stage: str) -> Shown | None:
        """Return what a stage yielded; None if it is not in its blob.

        Raises:
            JobxError: The blob is gone, or cannot be read.
        """
        body = self._records(data).get((vertex, stage))
        if body is None:
            return None
        if len(body) > self._max_bytes:
            return self._too_large(len(body))
        try:
            named, items = _yielded(body)
        except (ValueError, TypeError, msgspec.ValidationError) as error:
            raise InvalidInput("blob", data.blob, f"is damaged: {error}") from error
        return self.pairs(named) if named else Shown(self.show(items))

    def _too_large(self, size_bytes: int) -> Shown:
        return Shown(why=f"it has {size_bytes:,} bytes, more than {self._max_bytes:,}")

    def _records(self, data: StageData) -> dict[tuple[int, str], bytes]:
        found = self._stages.get(data.blob)
        if found is None:
            found = self._stages[data.blob] = self._unpacked(data)
            if len(self._stages) > _HELD:
                self._stages.popitem(last=False)
        return found

    def _unpacked(self, data: StageData) -> dict[tuple[int, str], bytes]:
        if "/" in data.blob or not data.blob.endswith(STAGE_DATA):
            raise InvalidInput("blob", repr(data.blob)[:80], "has no name of one")
        most = min(data.size_bytes, _MOST_BYTES)
        packed = self._read(data.blob, data.size_bytes, data.checksum, 0, most)
        found: dict[tuple[int, str], bytes] = {}
        last = b""
        try:
            body = _decompressed(packed)
            reader = values.unpacker()
            reader.feed(body)
            for vertex, stage, _, items in reader:
                if not isinstance(items, bytes):
                    raise TypeError("what a stage yielded is not packed")
                last = found[vertex, stage] = items or last
        except (ValueError, TypeError, ArithmeticError, zlib.error) as error:
            raise InvalidInput("blob", data.blob, f"is damaged: {error}") from error
        return found

    def _read(self, name: str, size_bytes: int, checksum: int, start: int, stop: int) -> bytes:
        try:
            opened = open_blob(self._folder, name, size_bytes, checksum)
            try:
                body = os.pread(opened, stop - start, start)
            finally:
                os.close(opened)
        except OSError as error:
            raise translate_read(error, name) from error
        if len(body) != stop - start or (len(body) == size_bytes and zlib.crc32(body) != checksum):
            raise BlobDamaged(name, "it is not what was written")
        return body


def _encoded(shown: list[Shown]) -> list[bytes]:
    return _ENCODER.encode_lines([one.value for one in shown]).splitlines()


def _yielded(body: bytes) -> tuple[Sequence[Payload], Sequence[Any]]:
    """Return what a stage has yielded: payloads that have it, or else keys with their values.

    Raises:
        ValueError, TypeError, msgspec.ValidationError: It is neither.
    """
    found = values.unpack(body)
    if isinstance(found, dict):
        return (), list(found.items())
    if found[:1] != [IN_PAYLOADS]:
        return (), list(columns.block_of(found).items())
    _, wires = msgspec.convert(found, tuple[str, list[PayloadWire]])
    payloads = list(map(Payload.from_wire, wires))
    for one in payloads:
        _check_run(one)
    return payloads, ()


def _check_run(run: Payload) -> None:
    """Check that a run is in a blob of its request, and is no larger than it says.

    Raises:
        ValueError: It is not.
    """
    if not is_name(run.blob):
        raise ValueError(f"{run.blob!r} is no name of a blob")
    ends = list(run.sections)
    if ends and (ends != sorted(ends) or ends[-1] != run.size_bytes):
        raise ValueError("the sections of a run are not as long as it is")
    if len(run.sums) not in (0, 4 * len(ends)):
        raise ValueError("a run has not a checksum for each of its sections")


def _decompressed(packed: bytes) -> bytes:
    """Return the records of a blob; zlib begins with no byte that a packed list begins with."""
    if packed[:1] == _RECORD:
        return packed
    return zlib.decompressobj().decompress(packed, _MOST_BYTES)


def _bounds(chunk: Payload, position: int, count: int) -> tuple[Sequence[int], Sequence[int]]:
    """Return where items of a chunk begin and where they end; a root has one without offsets."""
    if not chunk.offsets:
        return (0,), (chunk.size_bytes,)
    known = unpack_offsets(chunk.offsets[4 * max(position - 1, 0) : 4 * (position + count)])
    return (known[:-1], known[1:]) if position else ((0, *known[:-1]), known)


def redacted(value: Any) -> Any:
    """Return of a value in JSON's types only these, and sizes."""
    if isinstance(value, str):
        return f"<{len(value)} characters>"
    if isinstance(value, list):
        return [redacted(item) for item in value]
    if isinstance(value, dict):
        return {f"<{n}>": redacted(item) for n, item in enumerate(value.values())}
    return value if value is None or isinstance(value, bool) else f"<{type(value).__name__}>"
