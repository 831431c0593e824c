"""A store that keeps large events of logs in synced blobs.

An event over ``EVENT_BYTES`` is written to a blob of its request before it is committed. Its entry
refers to the blob by name, size and checksum. ``get`` returns the event, ``range`` the pointer,
so that a page of large events needs little memory.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from jobx.errors import UNREADABLE, BlobDamaged, EntryDamaged, JobxError
from jobx.kv import keys
from jobx.kv.blobs import BlobFolder
from jobx.kv.store import STORE_FAULTS, Chain, CommitOutcome, Create, Entry, Limits, Store, Unit

#: Events up to this size are in the store itself.
EVENT_BYTES: Final = 256 << 10
#: Pointers are shorter than this.
_MOST_BYTES: Final = 512
#: What its first bytes hold: most entries are told apart without decoding.
_MARK: Final = b"\xa4blob"
_MARKED_BYTES: Final = 64


class BlobPointer(Struct, frozen=True, forbid_unknown_fields=True):
    """The entry of an event in a blob. ``event`` is its kind, for readers of the kinds alone."""

    event: str
    blob: str
    size_bytes: int
    checksum: int


class _Kind(Struct, frozen=True):
    """The kind of any event; the rest of it is skipped."""

    event: str = ""


_POINTER: Final = msgspec.msgpack.Decoder(BlobPointer)
_KIND: Final = msgspec.msgpack.Decoder(_Kind)
_ENCODER: Final = msgspec.msgpack.Encoder()


class LargeEvents:
    """A store whose large events are in blobs; otherwise the store that it is made of.

    Its methods also raise StoreFull, StoreRefused and StoreUnavailable for the disk of the blobs.

    Args:
        inner: The store.
        blobs: The folders of requests.

    Attributes:
        inner: The store.
        blobs: The folders of requests.
    """

    def __init__(self, inner: Store, blobs: BlobFolder) -> None:
        self.inner = inner
        self.blobs = blobs

    @property
    def limits(self) -> Limits:
        """The limits of one unit, without its large event."""
        return self.inner.limits

    def get(self, key: str) -> Entry | None:
        """Return the entry of ``key``, or None; an event as it was written.

        Raises:
            EntryDamaged: It is not what was written, or its blob is not there.
            BlobUnreadable: Its blob is there, and cannot be read now.
        """
        entry = self.inner.get(key)
        if entry is None or not key.startswith(keys.REQUESTS):
            return entry
        pointer = pointer_in(entry.value)
        return entry if pointer is None else replace(entry, value=self._read(key, pointer))

    def range(
        self,
        prefix: str,
        *,
        after: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
        damaged: list[EntryDamaged] | None = None,
    ) -> list[Entry]:
        """Return entries whose keys start with ``prefix``; see ``Store``."""
        return self.inner.range(prefix, after=after, limit=limit, reverse=reverse, damaged=damaged)

    def commit(self, writes: Unit) -> None:
        """Do all writes or none; see ``Store``."""
        self.inner.commit(self.placed(writes))

    def commit_many(self, chains: Sequence[Chain]) -> list[CommitOutcome]:
        """Commit independent chains; see ``Store``.

        A chain ends before a unit whose blob cannot be written.
        """
        if not any(is_large(unit) for chain in chains for unit in chain):
            return self.inner.commit_many(chains)
        found = [self._cut(chain) for chain in chains]
        written = iter(self.inner.commit_many([small for small, _ in found if small]))
        outcomes = [next(written) if small else CommitOutcome(0) for small, _ in found]
        return [
            CommitOutcome(one.done, one.error or fault)
            for one, (_, fault) in zip(outcomes, found, strict=True)
        ]

    def placed(self, unit: Unit) -> Unit:
        """Return a unit with a pointer in place of a large event, whose blob is durable then."""
        if not is_large(unit):
            return unit
        event = unit[-1]
        assert isinstance(event, Create)  # noqa: S101 - for the type checker
        _, workflow, request_id, _, _ = event.key.split("/")
        name, body = _blob_name(event), event.value
        self.blobs.put(workflow, request_id, name, body)
        pointer = BlobPointer(_KIND.decode(body).event, name, len(body), zlib.crc32(body))
        return [*unit[:-1], Create(event.key, _ENCODER.encode(pointer))]

    def wait(self, key: str, revision: int, timeout_s: float) -> Entry | None:
        """Wait until ``key`` has another revision; see ``Store``."""
        return self.inner.wait(key, revision, timeout_s)

    def size_bytes(self) -> int:
        """Return the size of the data for ``check``; see ``Store``."""
        return self.inner.size_bytes()

    def check(self) -> None:
        """Check all stored data; see ``Store``."""
        self.inner.check()

    def close(self) -> None:
        """Release everything; see ``Store``."""
        self.inner.close()

    def _cut(self, chain: Chain) -> tuple[list[Unit], JobxError | None]:
        """Return the units before the first whose blob cannot be written, and why it cannot."""
        small: list[Unit] = []
        try:
            small.extend(map(self.placed, chain))
        except STORE_FAULTS as error:
            return small, error
        return small, None

    def _read(self, key: str, pointer: BlobPointer) -> bytes:
        _, workflow, request_id, _, _ = key.split("/")
        try:
            names = workflow, request_id, pointer.blob
            body = self.blobs.get(*names, pointer.size_bytes, pointer.checksum)
        except BlobDamaged as error:
            raise EntryDamaged(key, f"it is in a blob that is gone: {error}") from error
        if (len(body), zlib.crc32(body)) != (pointer.size_bytes, pointer.checksum):
            raise EntryDamaged(key, f"its blob {pointer.blob} has other content")
        return body


def blobs_of(store: Store) -> BlobFolder:
    """Return the folders of the large values of a store; one without such has none to read."""
    return store.blobs if isinstance(store, LargeEvents) else BlobFolder(Path(os.devnull))


def pointer_in(value: bytes) -> BlobPointer | None:
    """Return the pointer that an entry of a log has in place of its event, or None."""
    if len(value) > _MOST_BYTES or _MARK not in value[:_MARKED_BYTES]:
        return None
    try:
        return _POINTER.decode(value)
    except UNREADABLE:
        return None


def as_stored(store: Store, key: str) -> Entry | None:
    """Return an entry of a store; of a large event its pointer, without a look at its blob."""
    return (store.inner if isinstance(store, LargeEvents) else store).get(key)


def is_event(value: bytes, event: Create) -> bool:
    """Whether a stored value is an event, or refers to it."""
    if value == event.value:
        return True
    pointer = pointer_in(value)
    return pointer is not None and pointer.blob == _blob_name(event)


def is_large(unit: Unit) -> bool:
    """Whether a unit ends with an event that goes to a blob."""
    last = unit[-1] if unit else None
    return (
        type(last) is Create
        and len(last.value) > EVENT_BYTES
        and last.key.startswith(keys.REQUESTS)
    )


def _blob_name(event: Create) -> str:
    number = event.key.rpartition("/")[2]
    return f"event-{number}-{hashlib.sha256(event.value).hexdigest()[:16]}"
