"""The log of a request whose dump is made: what was read of it lately is held."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec

from jobx.actors.request import events
from jobx.errors import UNREADABLE
from jobx.kv import keys
from jobx.kv.requests import event_log
from jobx.kv.store import Store
from jobx.payload import Payload

#: Bytes of mapped chunks that are held; others are read again.
_CHUNK_BYTES: Final = 16 << 20
#: Failed attempts that are held, likewise.
_ATTEMPTS: Final = 1000


class _Wired(Payload, frozen=True, array_like=True):
    """A payload that is decoded from its wire."""


class Ended(events.Done, frozen=True, tag="done", tag_field="event"):
    """A ``Done`` that is decoded in one step: it has neither notes nor data."""

    payloads: tuple[_Wired, ...] = ()


_ENDED: Final = msgspec.msgpack.Decoder(Ended)


def event_of(key: str, body: bytes) -> events.Event | None:
    """Return what this version knows of an event; None for an event of a newer one.

    Raises:
        EntryDamaged: It is no event.
    """
    try:
        ended = _ENDED.decode(body)
    except UNREADABLE:
        ended = None
    if ended is not None and not ended.notes and ended.data is None:
        return ended
    return events.known_part(event_log.record_at(key, body))


class DumpLog:
    """Events of one request by their numbers."""

    def __init__(self, store: Store, workflow: str, request_id: str) -> None:
        self._store = store
        self._names = workflow, request_id
        self._payloads: OrderedDict[int, Payload] = OrderedDict()
        self._payload_bytes = 0
        self._attempts: OrderedDict[int, events.Retried | events.Failed] = OrderedDict()

    def hold(self, number: int, payload: Payload) -> None:
        """Hold the payload of a chunk that was mapped by the event of that number."""
        self._payloads[number] = payload
        self._payload_bytes += len(payload.inline or b"")
        while self._payload_bytes > _CHUNK_BYTES and len(self._payloads) > 1:
            _, dropped = self._payloads.popitem(last=False)
            self._payload_bytes -= len(dropped.inline or b"")

    def payload(self, number: int) -> Payload | None:
        """Return the payload that an event mapped, from the log if it is not held."""
        found = self._payloads.get(number)
        if found is None:
            event = self._event(number)
            if isinstance(event, events.Accepted):
                found = event.arguments
            elif isinstance(event, events.Mapped):
                found = event.payload
            if found is not None:
                self.hold(number, found)
        return found

    def keep_attempt(self, number: int, event: events.Retried | events.Failed) -> None:
        """Hold the event of a failed attempt."""
        self._attempts[number] = event
        if len(self._attempts) > _ATTEMPTS:
            self._attempts.popitem(last=False)

    def attempt(self, number: int) -> events.Retried | events.Failed:
        """Return the event of a failed attempt, from the log if it is not held."""
        found = self._attempts.get(number)
        if found is None:
            event = self._event(number)
            assert isinstance(event, events.Retried | events.Failed)  # noqa: S101 - it was one
            found = event
            self.keep_attempt(number, found)
        return found

    def _event(self, number: int) -> events.Event | None:
        entry = self._store.get(keys.event(*self._names, number))
        return events.known_part(event_log.decode_record(entry.value)) if entry else None
