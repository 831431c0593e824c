"""Indexes of kept requests by job and state, by error and by arguments: their keys and rows.

They are written together with the end of a request, so a running one has none. A row has what
filters ask of a request, so that looking through an index reads no requests.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from jobx.errors import UNREADABLE
from jobx.kv import keys
from jobx.kv.requests.request_filter import Filter, error_digest
from jobx.kv.store import Delete, Put, Write
from jobx.model import Request


class Row(Struct, frozen=True, array_like=True):
    """What the indexes know of a finished request.

    Attributes:
        job: Its job; empty if it is in no index.
        state: Its last state.
        error: Digest of the type of its failure; empty without one.
        arguments: Digests of the arguments that it can be found by.
    """

    job: str = ""
    state: str = ""
    error: str = ""
    arguments: tuple[str, ...] = ()

    def may_fit(self, wanted: Filter, error: str) -> bool:
        """Tell whether a filter may show the request; ``error`` is the digest of the filter's."""
        return (
            wanted.state in (None, self.state)
            and wanted.job in (None, self.job)
            and error in ("", self.error)
            and wanted.arguments.issubset(self.arguments)
        )


_ROW: Final = msgspec.json.Decoder(Row)


def row_of(request: Request) -> Row:
    """Return the row of a finished request."""
    failure = request.failure
    error = "" if failure is None else error_digest(failure.type)
    return Row(request.job_name, request.state, error, request.search or ())


def begin_writes(row: Row, workflow: str, place: str) -> list[Write]:
    """Return the writes that put a finished request into the indexes.

    Args:
        row: Its row.
        workflow: Its workflow.
        place: Its id as ``keys.newest_first`` has it.
    """
    value = msgspec.json.encode(row) if row.error or row.arguments else b""
    return [Put(key, value) for key in _keys(row, workflow, place)]


def end_writes(row: Row, workflow: str, request_id: str) -> list[Write]:
    """Return the writes that take a request out of them."""
    place = keys.newest_first(request_id)
    return [Delete(key) for key in _keys(row, workflow, place)] if row.job else []


def _keys(row: Row, workflow: str, place: str) -> list[str]:
    found = [keys.by_job(workflow, row.job, row.state) + place]
    if row.error:
        found.append(keys.by_error(workflow, row.error) + place)
    for digest in row.arguments:
        found.append(keys.by_argument(workflow, row.job, digest) + place)
    return found


def decode(value: bytes) -> Row | None:
    """Return the row in an index; None if only the request itself can tell what it says."""
    try:
        return _ROW.decode(value) if value else None
    except UNREADABLE:
        return None
