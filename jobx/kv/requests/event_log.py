"""The log of a request: its events in order, each under its number, never rewritten."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from jobx import values
from jobx.errors import EntryDamaged, InvalidInput
from jobx.kv import keys
from jobx.kv.large_events import pointer_in
from jobx.kv.prefixes import scan
from jobx.kv.store import Create, Entry, Store

#: Events read at once; one may have 64 KiB.
_PAGE: Final = 256
#: Most logs have no more events.
_FEW: Final = 4
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


def next_number(store: Store, workflow: str, request_id: str, known: int = 0) -> int:
    """Return the number of the next event, without reading the log. Damaged events count.

    It looks forward first, which is enough for most logs: for the end of a range etcd reads all of
    it. That takes 0.6 ms for 50 events, 1.7 ms for 1,000 and 86 ms for 50,000; to halve the range
    again and again takes 6, 10 and 86 ms.

    Args:
        store: The store.
        workflow: The request's workflow.
        request_id: The request.
        known: Events that the log certainly has.
    """
    prefix = keys.log(workflow, request_id)
    after = keys.event(workflow, request_id, known - 1) if known else None
    found = [n for n in _numbers(store, prefix, after=after, limit=_FEW) if n >= known]
    if len(found) >= _FEW:
        found += _numbers(store, prefix, reverse=True, limit=1)
    return max(found, default=known - 1) + 1


def _numbers(store: Store, prefix: str, **how: Any) -> list[int]:
    """Return the numbers of events that are found, or are found damaged."""
    damaged: list[EntryDamaged] = []
    entries = store.range(prefix, damaged=damaged, **how)
    names = [entry.key for entry in entries] + [str(error.args[0]) for error in damaged]
    numbers = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
    return [int(text) for text in numbers if text.isdecimal()]


def read(
    store: Store, workflow: str, request_id: str, after: int = -1, page: int = _PAGE
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number and the plain values of every event after ``after``, in order.

    At most ``page`` of them are in memory.

    Raises:
        EntryDamaged: An event is missing, or differs from what was written.
    """
    for number, entry in _entries(store, workflow, request_id, after, page):
        yield number, _record(store, entry)


def bodies(
    store: Store, workflow: str, request_id: str, after: int = -1, page: int = _PAGE
) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the bytes of every event after ``after``, in order; see ``read``."""
    for number, entry in _entries(store, workflow, request_id, after, page):
        yield number, _whole(store, entry).value


def kinds(
    store: Store, workflow: str, request_id: str, after: int = -1, page: int = _PAGE
) -> Iterator[str]:
    """Yield the kind of every event after ``after``, in order, without a look at any blob.

    Raises:
        EntryDamaged: An event is missing, or differs from what was written.
    """
    for _, entry in _entries(store, workflow, request_id, after, page):
        pointer = pointer_in(entry.value)
        yield _record(store, entry).get("event", "") if pointer is None else pointer.event


def _entries(
    store: Store, workflow: str, request_id: str, after: int, page: int
) -> Iterator[tuple[int, Entry]]:
    prefix = keys.log(workflow, request_id)
    cursor = keys.event(workflow, request_id, after) if after >= 0 else None
    for expected, entry in enumerate(scan(store, prefix, after=cursor, page=page), after + 1):
        if int(entry.key.removeprefix(prefix)) != expected:
            raise EntryDamaged(keys.event(workflow, request_id, expected), "it is missing")
        yield expected, entry


def _record(store: Store, entry: Entry) -> dict[str, Any]:
    return record_at(entry.key, _whole(store, entry).value)


def record_at(key: str, body: bytes) -> dict[str, Any]:
    """Return the plain values of the event at a key; raises EntryDamaged."""
    try:
        return decode_record(body)
    except InvalidInput as error:
        raise EntryDamaged(key, f"it is no event: {error}") from error


def _whole(store: Store, entry: Entry) -> Entry:
    """Return an event that may be in a blob."""
    return entry if pointer_in(entry.value) is None else store.get(entry.key) or entry
