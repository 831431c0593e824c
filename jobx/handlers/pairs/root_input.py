"""The arguments of a request on their way to its first mapper: small ones inline, else in a blob.

The caller packs them; a node passes them on unchanged, and only the executor unpacks large ones.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from types import NoneType
from typing import Any, Final

import msgspec

from jobx import values
from jobx.errors import BlobDamaged, JobxError, StoreRefused
from jobx.handlers.blobs.blob_file import BlobFile
from jobx.handlers.blobs.shared import Folder
from jobx.handlers.pairs import run_reader
from jobx.kv.blobs import BlobFolder
from jobx.payload import Payload, pack_offsets
from jobx.questions import KeptArguments
from jobx.values import Key, Value

BLOB: Final = "arguments"
#: Types that msgspec packs as ``values.pack`` does.
_PLAIN: Final = frozenset({str, bytes, int, float, bool, NoneType})
_ENCODER: Final = msgspec.msgpack.Encoder()
#: Texts of more characters are packed where they go, in pieces of so many.
_PIECE_CHARS: Final = 128 << 10
#: msgpack: text with a 32-bit length.
_TEXT_32: Final = struct.Struct(">BI")
_TEXT_32_CODE: Final = 0xDB
#: Longer texts are cut in an outline. No number has so many digits, no search so many characters.
_MOST_CHARS: Final = 5000
#: An outline of more saves nothing.
_MOST_ARGUMENTS: Final = 1000
_OUTLINE_BYTES: Final = 32 << 10


class Packed:
    """Packed arguments that are made piece by piece: their large texts are never copied whole."""

    def __init__(self, arguments: Mapping[str, Value]) -> None:
        """Pack all but large texts; raises as ``pack``."""
        count = len(arguments)
        self._parts: list[bytes | str] = [_ENCODER.encode([None] * count)[: -count or None]]
        for name, value in arguments.items():
            self._parts += _parts(name, value)

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            if isinstance(part, bytes):
                yield part
            else:
                for start in range(0, len(part), _PIECE_CHARS):
                    yield part[start : start + _PIECE_CHARS].encode()

    def __bytes__(self) -> bytes:
        return b"".join(self)


def _parts(name: str, value: Value) -> tuple[bytes | str, ...]:
    """Return a name and its value, packed; ASCII text stands for the same bytes."""
    if not _is_large_text(value):
        return (_packed([name, value], [value]),)
    head = _TEXT_32.pack(_TEXT_32_CODE, len(value))
    return _packed([name, ""], [""])[:-1] + head, value


def _is_large_text(value: Value) -> bool:
    return type(value) is str and len(value) > _PIECE_CHARS and value.isascii()


def packed(arguments: Mapping[str, Value]) -> bytes | Packed:
    """Return arguments as ``pack`` does, or in pieces if they have large texts."""
    if any(map(_is_large_text, arguments.values())):
        return Packed(arguments)
    return pack(arguments)


def pack(arguments: Mapping[str, Value]) -> bytes:
    """Return arguments as the one item of a root's chunk: a list of [name, value].

    Raises:
        InvalidInput: One is not a value.
    """
    return _packed([[name, value] for name, value in arguments.items()], arguments.values())


def _packed(items: list[Any], its_values: Collection[Value]) -> bytes:
    if _PLAIN.issuperset(map(type, its_values)):
        with suppress(OverflowError, UnicodeEncodeError):
            return _ENCODER.encode(items)  # large texts are copied only once
    return values.pack(items)


def outline(arguments: Mapping[str, Value]) -> bytes:
    """Return arguments packed without what is large: what is in lists and maps, the ends of texts.

    It is empty if there are too many.
    """
    if len(arguments) > _MOST_ARGUMENTS:
        return b""
    packed = pack({name: _brief(value) for name, value in arguments.items()})
    return packed if len(packed) <= _OUTLINE_BYTES else b""


def outlined(arguments: bytes | KeptArguments) -> dict[Key, Value] | None:
    """Return the arguments of an outline; None without one.

    Raises:
        InvalidInput: It is none.
    """
    if isinstance(arguments, bytes) or not arguments.outline:
        return None
    return values.outline(arguments.outline)


def _brief(value: Value) -> Value:
    if isinstance(value, str | bytes):
        return value[:_MOST_CHARS]
    if isinstance(value, list | tuple):
        return []
    return {} if isinstance(value, dict) else value


def chunk(arguments: bytes | KeptArguments) -> Payload:
    """Return packed arguments, or their place, as the first chunk of a request."""
    if isinstance(arguments, bytes):
        return Payload(1, len(arguments), arguments, offsets=pack_offsets([len(arguments)]))
    size, checksum = arguments.size_bytes, arguments.checksum
    ends, sums = pack_offsets([size]), pack_offsets([checksum])
    return Payload(1, size, None, BLOB, checksum, ends, sums=sums)


class RootInputs:
    """The place of packed arguments until their request has expired.

    Args:
        blobs: The folders of requests.
        inline_bytes: Arguments up to this are in the request's log; larger ones are synced blobs.
    """

    def __init__(self, blobs: BlobFolder, inline_bytes: int) -> None:
        self._blobs = blobs
        self.inline_bytes = inline_bytes

    def keep(
        self,
        workflow: str,
        request_id: str,
        item: bytes | Packed,
        outline: bytes = b"",
        *,
        may_sync_later: bool = False,
    ) -> bytes | KeptArguments:
        """Return packed arguments as a node takes them; writes large ones to disk, which blocks.

        Args:
            workflow: The workflow of their request.
            request_id: The id of their request.
            item: The packed arguments.
            outline: Their outline, with which the node need not read large ones.
            may_sync_later: Leave the sync to the node, where the first mapper need not wait for
                it, unless they go to a shared place.

        Raises:
            StoreFull: There is no room.
            StoreRefused: They cannot be written.
            StoreUnavailable: The shared place of blobs does not take them.
        """
        if len(item) <= self.inline_bytes:
            return bytes(item)
        folder = self._blobs.path(workflow, request_id)
        is_synced = self._blobs.is_shared or not may_sync_later
        try:
            with BlobFile(str(folder), BLOB, sync=is_synced) as blob:
                for piece in [item] if isinstance(item, bytes) else item:
                    blob.write(piece)
            self._blobs.share(str(folder), BLOB, len(item), blob.checksum)
        except JobxError:
            with suppress(OSError):  # the folder may have more
                (folder / BLOB).unlink(missing_ok=True)
                folder.rmdir()
            raise
        return KeptArguments(len(item), blob.checksum, outline, is_synced)

    def keep_again(self, workflow: str, request_id: str, kept: KeptArguments) -> KeptArguments:
        """Write arguments anew whose sync was begun by a node that died, and sync them; blocks.

        That node may have been told that data is lost, and no later sync of the same file is.

        Raises:
            StoreFull: There is no room.
            StoreRefused: They cannot be written, or are no longer there as they were.
            BlobUnreadable: They cannot be read.
            StoreUnavailable: They cannot be read or written at the moment.
        """
        folder = self._blobs.path(workflow, request_id)
        try:
            body = run_reader.whole(chunk(kept), self._blobs.readable(str(folder)))
        except BlobDamaged as error:
            raise StoreRefused(str(folder / BLOB), f"it was lost with a node: {error}") from error
        self._blobs.put(workflow, request_id, BLOB, body)
        return msgspec.structs.replace(kept, is_synced=True)

    def outline(self, workflow: str, request_id: str, payload: Payload) -> dict[str, Any]:
        """Return the arguments of a chunk, lists and maps without what is in them.

        It blocks if they are in a blob. What is left out is not decoded.

        Raises:
            InvalidInput: They are not valid arguments.
            BlobDamaged: They are missing, or not what was written.
            BlobUnreadable: They are there and cannot be read.
            JobxError: They cannot be fetched from the shared place of blobs.
        """
        folder = self._blobs.readable(str(self._blobs.path(workflow, request_id)))
        return values.outline(run_reader.whole(payload, folder))

    def readable(self, folder: str) -> Folder:
        """Return a folder of blobs for reading; see ``BlobFolder.readable``."""
        return self._blobs.readable(folder)

    def drop(self, workflow: str, request_id: str) -> None:
        """Remove the arguments of a request that was not accepted; blocks."""
        self._blobs.remove_everywhere(workflow, request_id)
