"""The request's entity and the indexes beside it: which are open, which expire, which were asked.

Writes are built here and committed by the caller, together with the events they belong to.
"""

from __future__ import annotations

import json
from typing import Final

from jobx.errors import NotFound
from jobx.kv import deliveries, keys
from jobx.kv.ranges import scan
from jobx.kv.store import Create, Delete, DeletePrefix, Put, Store, Write
from jobx.model import Request, RequestState, check_name, decode, encode

#: Crockford's base 32: no letters that look like digits, in the order of ASCII.
_BASE32: Final = "0123456789abcdefghjkmnpqrstvwxyz"
#: What stands for ten bits, and where in an id of 130 bits each ten begin.
_LETTERS: Final = tuple(high + low for high in _BASE32 for low in _BASE32)
_PLACES: Final = range(120, -1, -10)
_RANDOM_BYTES: Final = 10
#: A page ends after so many requests even when its filter let few through.
_MAX_SCANNED: Final = 10_000


def new_id(now_at: float, random: bytes) -> str:
    """Return a request id of 26 characters: ids sort by time, to the millisecond.

    Args:
        now_at: The wall clock.
        random: Ten random bytes.
    """
    tail = int.from_bytes(random[:_RANDOM_BYTES], "big")
    number = (int(now_at * 1000) & ((1 << 48) - 1)) << (8 * _RANDOM_BYTES) | tail
    return "".join([_LETTERS[number >> place & 1023] for place in _PLACES])


def accept_writes(request: Request, node_id: str, fingerprint: str | None = None) -> list[Write]:
    """Return what makes a request accepted: its entity, its open marker, its idempotency key.

    Args:
        request: The request; a Conflict names its key when its id was taken.
        node_id: The node that coordinates it.
        fingerprint: A hash of what was asked for, stored under the request's idempotency key
            when it has one; a Conflict names that key when it was used before.
    """
    writes: list[Write] = [
        Create(_key(request.workflow_name, request.request_id), encode(request)),
        Put(keys.opened(node_id, request.workflow_name, request.request_id), b""),
    ]
    if fingerprint is not None and request.idempotency_key is not None:
        body = json.dumps({"request_id": request.request_id, "fingerprint": fingerprint})
        writes.append(Create(_idempotency(request, request.idempotency_key), body.encode()))
    return writes


def finish_writes(request: Request, node_id: str, expires_at: float) -> list[Write]:
    """Return what makes a request finished: its last entity, no open marker, when it expires."""
    workflow, request_id = request.workflow_name, request.request_id
    return [
        Put(_key(workflow, request_id), encode(request)),
        Delete(keys.opened(node_id, workflow, request_id)),
        Create(keys.finished(expires_at, workflow, request_id), b""),
    ]


def purge_writes(
    marker: str, workflow: str, request_id: str, request: Request | None
) -> list[Write]:
    """Return what removes all traces of a request from the store.

    Args:
        marker: The key of its finished marker, as ``expired`` gives it.
        workflow: Its workflow.
        request_id: Its id.
        request: Its entity, whose idempotency key goes too; None when it is gone already.
    """
    writes: list[Write] = [
        Delete(_key(workflow, request_id)),
        DeletePrefix(keys.log(workflow, request_id)),
        Delete(marker),
    ]
    if request is not None:
        writes += deliveries.purge_writes(request)
        if request.idempotency_key is not None:
            writes.append(Delete(_idempotency(request, request.idempotency_key)))
    return writes


def get(store: Store, workflow: str, request_id: str) -> Request:
    """Return a request.

    Raises:
        NotFound: There is none.
        InvalidInput: One of the names is not a name.
    """
    check_name("workflow", workflow)
    check_name("request", request_id)
    entry = store.get(_key(workflow, request_id))
    if entry is None:
        raise NotFound("request", f"{workflow}/{request_id}")
    return decode(Request, entry.key, entry.value)


def page(
    store: Store,
    workflow: str,
    state: RequestState | None = None,
    after: str | None = None,
    limit: int = 50,
) -> tuple[list[Request], str | None]:
    """Return requests of a workflow, newest first, and the cursor of the page behind or None.

    Args:
        store: Where they are.
        workflow: Their workflow.
        state: Only those in this state. A page may then hold fewer than ``limit`` and still
            have one behind it.
        after: The cursor that the page before gave.
        limit: At most so many.
    """
    prefix = keys.entities("request", check_name("workflow", workflow))
    cursor = None if after is None else prefix + check_name("after", after)
    found: list[Request] = []
    for scanned, entry in enumerate(scan(store, prefix, after=cursor, reverse=True)):
        if len(found) == limit or scanned == _MAX_SCANNED:
            return found, after
        request = decode(Request, entry.key, entry.value)
        after = request.request_id
        if state is None or request.state == state:
            found.append(request)
    return found, None


def opened(store: Store, node_id: str) -> list[tuple[str, str]]:
    """Return the workflow and the id of every request that a node coordinates."""
    return [_tail(entry.key) for entry in scan(store, f"{keys.OPEN}{node_id}/")]


def open_in(store: Store, workflow: str, limit: int) -> list[str]:
    """Return the ids of open requests of a workflow, on any node; at most ``limit``."""
    found: list[str] = []
    for entry in scan(store, keys.OPEN):
        owner, request_id = _tail(entry.key)
        if owner == workflow:
            found.append(request_id)
        if len(found) == limit:
            break
    return found


def expired(store: Store, now_at: float, limit: int) -> list[tuple[str, str, str]]:
    """Return finished requests that have expired: finished marker, workflow, id; oldest first."""
    found = []
    for entry in store.range(keys.FINISHED, limit=limit):
        if entry.key >= keys.finished(now_at, "", ""):
            break
        found.append((entry.key, *_tail(entry.key)))
    return found


def idempotent(store: Store, workflow: str, job: str, client_key: str) -> tuple[str, str] | None:
    """Return the request id and the fingerprint that a client's key stands for, or None."""
    entry = store.get(keys.idempotency(workflow, job, client_key))
    if entry is None:
        return None
    body = json.loads(entry.value)
    return body["request_id"], body["fingerprint"]


def _key(workflow: str, request_id: str) -> str:
    return keys.entity("request", workflow, request_id)


def _idempotency(request: Request, client_key: str) -> str:
    return keys.idempotency(request.workflow_name, request.job_name, client_key)


def _tail(key: str) -> tuple[str, str]:
    _, workflow, request_id = key.rsplit("/", 2)
    return workflow, request_id
