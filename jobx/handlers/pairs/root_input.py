"""The arguments of a request on their way to its first mapper: small ones inline, else in a blob.

The caller packs them; a node passes them on unchanged, and only the executor unpacks large ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from jobx import values
from jobx.errors import JobxError, StoreRefused
from jobx.handlers.blobs.blob_file import BlobFile
from jobx.handlers.blobs.shared import Folder, open_blob
from jobx.kv.blobs import BlobFolder
from jobx.payload import Payload, pack_offsets
from jobx.questions import KeptArguments
from jobx.values import Value

BLOB: Final = "arguments"


def pack(arguments: Mapping[str, Value]) -> bytes:
    """Return arguments as the one item of a root's chunk: a list of [name, value].

    Raises:
        InvalidInput: One is not a value.
    """
    return values.pack([[name, value] for name, value in arguments.items()])


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

    def keep(self, workflow: str, request_id: str, item: bytes) -> bytes | KeptArguments:
        """Return packed arguments as a node takes them; writes large ones to disk, which blocks.

        Raises:
            StoreFull: There is no room.
            StoreRefused: They cannot be written.
            StoreUnavailable: The shared place of blobs does not take them.
        """
        if len(item) <= self.inline_bytes:
            return item
        folder = self._blobs.path(workflow, request_id)
        try:
            with BlobFile(str(folder), BLOB, sync=True) as blob:
                blob.write(item)
            self._blobs.share(str(folder), BLOB, len(item), blob.checksum)
        except JobxError:
            with suppress(OSError):  # the folder may have more
                (folder / BLOB).unlink(missing_ok=True)
                folder.rmdir()
            raise
        return KeptArguments(len(item), blob.checksum)

    def outline(self, workflow: str, request_id: str, payload: Payload) -> dict[str, Any]:
        """Return the arguments of a chunk, lists and maps without what is in them.

        It blocks if they are in a blob. What is left out is not decoded.

        Raises:
            InvalidInput: They are not valid arguments.
            StoreRefused: They cannot be read.
            JobxError: They cannot be fetched from the shared place of blobs.
        """
        item = payload.inline
        if item is None:
            folder = str(self._blobs.path(workflow, request_id))
            blob = payload.blob or BLOB, payload.size_bytes, payload.checksum
            try:
                with open(open_blob(self._blobs.readable(folder), *blob), "rb") as file:
                    item = file.read()
            except OSError as error:
                raise StoreRefused(f"{folder}/{blob[0]}", error.strerror or str(error)) from error
        return values.outline(item)

    def readable(self, folder: str) -> Folder:
        """Return a folder of blobs for reading; see ``BlobFolder.readable``."""
        return self._blobs.readable(folder)

    def drop(self, workflow: str, request_id: str) -> None:
        """Remove the arguments of a request that was not accepted; blocks."""
        self._blobs.remove_everywhere(workflow, request_id)
