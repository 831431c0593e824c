"""The request's entity and its indexes: open requests, finished requests, idempotency keys.

This module builds writes. The caller commits them together with the events.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from msgspec import inspect
from msgspec.structs import replace

from jobx.entity_json import encode
from jobx.errors import EntryDamaged, FormUnknown, NotFound
from jobx.kv import keys
from jobx.kv.entries import decoded, known
from jobx.kv.prefixes import branches, scan
from jobx.kv.requests import kept_requests, lives
from jobx.kv.store import Create, Delete, Entry, Put, Store, Write
from jobx.model import Plan, Request, check_name

#: Crockford's base 32: no letters that look like digits, in the order of ASCII.
_BASE32: Final = "0123456789abcdefghjkmnpqrstvwxyz"
#: Texts of ten bits, and the places of each ten in an id of 130 bits.
_LETTERS: Final = tuple(high + low for high in _BASE32 for low in _BASE32)
_PLACES: Final = range(120, -1, -10)
_RANDOM_BYTES: Final = 10
#: The form of an id.
ID_PATTERN: Final = "[0-9a-hjkmnp-tv-z]{26}"
_FORM: Final = inspect.type_info(Request)
#: Open markers that are read at once.
_MARKERS: Final = 500


def new_id(now_at: float, random: bytes) -> str:
    """Return a request id of 26 characters: ids sort by time, to the millisecond.

    Args:
        now_at: The wall clock.
        random: Ten random bytes.
    """
    tail = int.from_bytes(random[:_RANDOM_BYTES], "big")
    number = (int(now_at * 1000) & ((1 << 48) - 1)) << (8 * _RANDOM_BYTES) | tail
    return "".join([_LETTERS[number >> place & 1023] for place in _PLACES])


def accept_writes(
    request: Request, node_id: str, fingerprint: str | None = None, life: int = 0
) -> list[Write]:
    """Return the writes that accept a request: its entity, open marker and idempotency key.

    Args:
        request: The request; a Conflict names its key if its id is taken.
        node_id: The node that coordinates it.
        fingerprint: A hash of the call, stored under the request's idempotency key if it has one; a
            Conflict names that key if it was used before.
        life: Incarnation of the node; see ``lives``.
    """
    workflow, request_id = request.workflow_name, request.request_id
    found_by = request.search or ()
    mark = lives.Mark(life=life, events=1, job=request.job_name, arguments=found_by)
    writes: list[Write] = [
        Create(keys.entity("request", workflow, request_id), encode(request)),
        Put(keys.opened(node_id, workflow, request_id), lives.encode(mark)),
    ]
    if fingerprint is not None and request.idempotency_key is not None:
        body = json.dumps({"request_id": request.request_id, "fingerprint": fingerprint})
        writes.append(Create(_idempotency(request, request.idempotency_key), body.encode()))
    return writes


def adopt_writes(request: Request, owner: str, mark: lives.Mark) -> list[Write]:
    """Return the writes that move a request to another node: its entity and its open marker.

    Args:
        request: The request, with its new coordinator.
        owner: The node that has coordinated it so far.
        mark: The mark of its new marker.
    """
    names = request.workflow_name, request.request_id
    new = request.coordinator or owner
    mark = replace(mark, job=request.job_name, arguments=request.search or ())
    return [
        Put(_key(*names), encode(request)),
        Delete(keys.opened(owner, *names)),
        Put(keys.opened(new, *names), lives.encode(mark)),
    ]


def finish_writes(
    request: Request, node_id: str, plan_digest: str = "", events: int = 0, size_bytes: int = 0
) -> list[Write]:
    """Return the writes that finish a request: its last entity, no open marker, its indexes.

    Args:
        request: The finished request.
        node_id: The node that has its open marker.
        plan_digest: Its plan, ``''`` for an unknown one.
        events: Number of events in its log, including the last one.
        size_bytes: About the bytes of its log, result and large values.
    """
    workflow, request_id = request.workflow_name, request.request_id
    return [
        Put(keys.entity("request", workflow, request_id), encode(request)),
        Delete(keys.opened(node_id, workflow, request_id)),
        *kept_requests.begin_writes(request, plan_digest, events, size_bytes),
    ]


def get(store: Store, workflow: str, request_id: str) -> Request:
    """Return a request, as far as this version knows it: to look at, not to write it again.

    Raises:
        NotFound: It does not exist.
        InvalidInput: One of the names is invalid.
    """
    return known_of(_entry(store, workflow, request_id))


def get_whole(store: Store, workflow: str, request_id: str) -> Request:
    """Return a request with all that it has. Otherwise raises as ``get``.

    Raises:
        FormUnknown: A newer version wrote more than this one knows.
    """
    return decoded(Request, _entry(store, workflow, request_id))


@contextmanager
def reading_log(store: Store, workflow: str, request_id: str) -> Iterator[None]:
    """Read a log of which nothing is removed meanwhile.

    The log of a request is removed together with its entity, or after it. So if the entity is there
    when the log has been read, all of it was; else it may have looked damaged, short or empty.

    Raises:
        NotFound: The request is not there any more.
    """
    try:
        yield
    except Exception:
        _check(store, workflow, request_id)
        raise
    _check(store, workflow, request_id)


def _check(store: Store, workflow: str, request_id: str) -> None:
    if store.get(_key(workflow, request_id)) is None:
        raise NotFound("request", f"{workflow}/{request_id}")


def plan(store: Store, workflow: str, digest: str) -> Plan | None:
    """Return a plan; None: it is not there, or only a newer JobX knows its form."""
    entry = store.get(keys.plan(workflow, digest))
    try:
        return decoded(Plan, entry) if entry else None
    except FormUnknown:
        return None


def _entry(store: Store, workflow: str, request_id: str) -> Entry:
    check_name("workflow", workflow)
    check_name("request", request_id)
    entry = store.get(_key(workflow, request_id))
    if entry is None:
        raise NotFound("request", f"{workflow}/{request_id}")
    return entry


def known_of(entry: Entry) -> Request:
    """Return what is known of a request; a state that is not known is shown as the nearest."""
    found = known(Request, _FORM, entry)
    if found.is_done and found.state == "running":
        return replace(found, state="failed")
    return found


def opened(store: Store, node_id: str) -> list[tuple[str, str]]:
    """Return the workflow and the id of every request that a node coordinates."""
    return list(_opened(scan(store, f"{keys.OPEN}{node_id}/")))


def open_in(store: Store, workflow: str, limit: int | None = None) -> list[str]:
    """Return the ids of open requests of a workflow, on any node; at most ``limit``."""
    found: list[str] = []
    for node in branches(store, keys.OPEN):
        left = None if limit is None else limit - len(found)
        found += [name for _, name in _opened(store.range(f"{node}{workflow}/", limit=left))]
        if len(found) == limit:
            break
    return found


def running(store: Store, workflow: str) -> Counter[str]:
    """Return the numbers of open requests of a workflow by job, on any node."""
    found: Counter[str] = Counter()
    for node in branches(store, keys.OPEN):
        for entry in scan(store, f"{node}{workflow}/", page=_MARKERS):
            row = lives.row_of(entry.value)
            if row is not None:
                found[row.job] += 1
                continue
            for names in _opened([entry]):
                with suppress(EntryDamaged):  # its list names it
                    if (stored := store.get(_key(*names))) is not None:
                        found[known_of(stored).job_name] += 1
    return found


def idempotent(store: Store, workflow: str, job: str, client_key: str) -> tuple[str, str] | None:
    """Return the request id and the fingerprint of a client's key, or None."""
    entry = store.get(keys.idempotency(workflow, job, client_key))
    if entry is None:
        return None
    body = json.loads(entry.value)
    return body["request_id"], body["fingerprint"]


def _key(workflow: str, request_id: str) -> str:
    return keys.entity("request", workflow, request_id)


def _idempotency(request: Request, client_key: str) -> str:
    return keys.idempotency(request.workflow_name, request.job_name, client_key)


def _opened(entries: Iterable[Entry]) -> Iterator[tuple[str, str]]:
    """Yield the workflows and the ids of open requests, past keys that JobX does not write."""
    return filter(None, (keys.request_of(entry.key) for entry in entries))
