"""Builds the writes that remove kept requests.

The caller commits them. A request with blobs or a long log is hidden first, then loses these bit by
bit. So whoever misses one looks for the request again: if it is there, something is damaged.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from jobx.kv import keys
from jobx.kv.requests import request_counts, request_index
from jobx.kv.requests.kept_requests import FinishedRequest, KeptMark
from jobx.kv.requests.request_index import Row
from jobx.kv.store import Delete, DeletePrefix, Replace, Write


def purge_writes(kept: FinishedRequest) -> list[Write]:
    """Return the writes that remove all traces of a request from the store.

    If its marker is known, they are possible once, since then it is counted no longer. A Conflict
    means that somebody else has removed it, or has postponed that.
    """
    names = kept.workflow, kept.request_id
    log = DeletePrefix(keys.log(*names))
    return [*_visible(kept), log, Delete(kept.marker, kept.revision)]


def hide_writes(kept: FinishedRequest) -> list[Write]:
    """Return the writes that remove a request, except its log and its key in the index.

    They are possible once, as those of ``purge_writes``. The key says that nothing else is left.
    """
    size_bytes = kept.size_bytes
    mark = KeptMark(kept.state, kept.events, size_bytes=size_bytes, is_hidden=True)
    assert kept.revision is not None, kept  # noqa: S101 - the index was read
    return [*_visible(kept), Replace(kept.marker, msgspec.json.encode(mark), kept.revision)]


def hidden(kept: FinishedRequest) -> FinishedRequest:
    """Return a request that was hidden as its key in the index has it."""
    return replace(kept, has_delivery=False, idempotency="", row=Row(), revision=None)


def _visible(kept: FinishedRequest) -> list[Write]:
    names = kept.workflow, kept.request_id
    writes: list[Write] = [
        Delete(keys.entity("request", *names)),
        Delete(keys.listed(names[0], kept.state, names[1])),
        *request_index.end_writes(kept.row, *names),
    ]
    if kept.revision is not None and kept.row.job:
        writes.append(request_counts.end_write(kept.row, *names))
    if kept.has_delivery:
        writes.append(Delete(keys.delivery(*names)))
    if kept.idempotency:
        writes.append(Delete(kept.idempotency))
    return writes


def log_writes(kept: FinishedRequest, first: int, limit: int) -> list[Write]:
    """Return the writes that remove up to ``limit`` events of a log from number ``first`` on."""
    stop = min(first + limit, kept.events)
    names = kept.workflow, kept.request_id
    return [Delete(keys.event(*names, number)) for number in range(first, stop)]
