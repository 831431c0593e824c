"""The log of a request: its events in order, each under its number, never rewritten."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from jobx import values
from jobx.errors import EntryDamaged, InvalidInput
from jobx.kv import keys
from jobx.kv.prefixes import scan
from jobx.kv.store import Create, Store

#: Events read at once; one may have 64 KiB.
_PAGE: Final = 256
_PLAIN: Final = msgspec.msgpack.Encoder()


def encode_record(record: dict[str, Any]) -> bytes:
    """Return an event's plain values as the bytes that are stored.

    Raises:
        InvalidInput: They contain something that is no value.
    """
    if record.get("notes"):  # these have author values, and msgspec does not keep all their types
        return values.pack(record)
    try:
        return _PLAIN.encode(record)
    except (TypeError, ValueError, OverflowError):
        return values.pack(record)


def decode_record(body: bytes) -> dict[str, Any]:
    """Return the plain values of an event; tuples come back as lists.

    Raises:
        InvalidInput: The bytes are not an event.
    """
    record: dict[str, Any] = values.unpack(body)
    return record


def event_write(workflow: str, request_id: str, number: int, record: dict[str, Any]) -> Create:
    """Return the write of event ``number`` (from 0).

    It is conditional, which is the fencing: if two writers believe that they own the request, one
    gets a Conflict.
    """
    return Create(keys.event(workflow, request_id, number), encode_record(record))


def next_number(store: Store, workflow: str, request_id: str) -> int:
    """Return the number of the next event, without reading the log."""
    prefix = keys.log(workflow, request_id)
    last = store.range(prefix, limit=1, reverse=True)
    return int(last[0].key.removeprefix(prefix)) + 1 if last else 0


def read(
    store: Store, workflow: str, request_id: str, after: int = -1, page: int = _PAGE
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number and the plain values of every event after ``after``, in order.

    At most ``page`` of them are in memory.

    Raises:
        EntryDamaged: An event is missing, or differs from what was written.
    """
    prefix = keys.log(workflow, request_id)
    cursor = keys.event(workflow, request_id, after) if after >= 0 else None
    for expected, entry in enumerate(scan(store, prefix, after=cursor, page=page), after + 1):
        if int(entry.key.removeprefix(prefix)) != expected:
            raise EntryDamaged(keys.event(workflow, request_id, expected), "it is missing")
        try:
            record = decode_record(entry.value)
        except InvalidInput as error:
            raise EntryDamaged(entry.key, f"it is no event: {error}") from error
        yield expected, record
