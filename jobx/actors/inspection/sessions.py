"""The sessions of a request's mappers, read from its log."""

from __future__ import annotations

from collections.abc import Iterator

from jobx.actors.request import events
from jobx.actors.request.ids import invocation_id
from jobx.kv.requests import event_log, request_entity
from jobx.kv.store import Store
from jobx.values import Value


def read(store: Store, workflow: str, request_id: str) -> Iterator[tuple[str, dict[str, Value]]]:
    """Yield mapper invocations with a session, each with its session, in the order they ended.

    An invocation that ran again appears again; its last session counts.

    Raises:
        NotFound: There is no such request.
    """
    request_entity.get(store, workflow, request_id)
    for _, record in event_log.read(store, workflow, request_id):
        event = events.known_part(record)
        if isinstance(event, events.Done | events.Failed):
            for vertex, notes in sorted(event.notes.items()):
                if notes.get("session"):
                    yield invocation_id("map", vertex), notes["session"]
