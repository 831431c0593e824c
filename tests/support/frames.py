"""Builds what a node tells an executor, and reads what comes back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from jobx import values
from jobx.handlers.execution import work_kinds
from jobx.handlers.execution.shared_page import PAGE_BYTES, SharedPage
from jobx.handlers.execution.state import SEGMENTS_BYTES, ExecutorState, OutputLimits
from jobx.handlers.execution.time_limit import TimeLimit
from jobx.handlers.languages.guests import Guests
from jobx.handlers.pairs import run_merger, run_reader, sequences
from jobx.handlers.scope.factories import ScopeFactories
from jobx.handlers.scope.names import Scope
from jobx.payload import Payload
from jobx.segments import Segment
from jobx.work import (
    CombineWork,
    LoadHandler,
    MapWork,
    PullWork,
    ReduceWork,
    RequestInfo,
    WorkFrame,
)

REQUEST = RequestInfo("r1", "w", "j", values.pack({"who": "me"}))
_KINDS: Mapping[str, type[Any]] = {
    "map": MapWork,
    "pull": PullWork,
    "combine": CombineWork,
    "reduce": ReduceWork,
}


def of_request(request_id: str, workflow: str = "w") -> RequestInfo:
    """Return what work tells of another request."""
    return replace(REQUEST, id=request_id, workflow=workflow)


def load(version: str, handler_type: str, source_code: str, **fields: Any) -> LoadHandler:
    """Return the load frame of a Python handler whose name is its version."""
    source_type = fields.pop("source_type", "python")
    return LoadHandler(version, version, "w", handler_type, source_type, source_code, **fields)


def work(
    kind: str, blob_dir: Path, *, id: int = 1, blob_stem: str = "b", **fields: Any
) -> WorkFrame:
    """Return a work frame, of the fields that its kind has; a session is given as it is."""
    made = {
        "request": REQUEST,
        "step": "s",
        "inline_bytes": 1 << 16,
        "time_limit_s": 60.0,
        **({"chunk_pairs": 1000, "batch_s": 60.0} if kind == "map" else {}),
        **fields,
    }
    fields_of = _KINDS[kind].__struct_fields__
    made = {name: field for name, field in made.items() if name in fields_of}
    if "session" in made:
        made["session"] = values.pack(made["session"])
    return WorkFrame(id, str(blob_dir), blob_stem, _KINDS[kind](**made))


def map_(blob_dir: Path, items: Iterable[Any], **fields: Any) -> WorkFrame:
    """Return the frame of a batch of mappers, one for each [key, value]."""
    listed = list(items)
    return work(
        "map",
        blob_dir,
        **{
            "first": 1,
            "count": len(listed),
            "mapper": "m",
            "reducer": "r",
            "pairs": b"".join(map(values.pack, listed)),
            **fields,
        },
    )


def reduce(blob_dir: Path, inputs: Iterable[Payload], **fields: Any) -> WorkFrame:
    """Return the frame of a reducer."""
    wires = [payload.to_wire() for payload in inputs]
    return work(
        "reduce",
        blob_dir,
        **{"vertex": 0, "reducer": "r", "inputs": wires, **fields},
    )


def pairs(wires: Iterable[Any], blob_dir: Path) -> list[tuple[Any, Any]]:
    """Return the pairs of payload wires in key order."""
    return list(run_merger.pairs(map(Payload.from_wire, wires), str(blob_dir)))


def children(wire: Any, blob_dir: Path) -> list[Any]:
    """Return the items of a chunk's payload wire."""
    payload = Payload.from_wire(wire)
    return sequences.unpack(run_reader.whole(payload, str(blob_dir)), payload.count)


def run(state: ExecutorState, frame: WorkFrame) -> list[Any]:
    """Run a work frame and return its segments as they travel."""
    return plain(work_kinds.run(state, frame))


def plain(found: list[Segment]) -> list[Any]:
    """Return segments as they travel."""
    return list(values.unpack(msgspec.msgpack.encode(found)))


def read(wire: Any) -> list[Segment]:
    """Return segments of what travels."""
    return msgspec.msgpack.decode(values.pack(wire), type=list[Segment])


def by_kind(segments: Iterable[list[Any]]) -> Mapping[str, list[list[Any]]]:
    """Return segments by their kind."""
    found: dict[str, list[list[Any]]] = {}
    for segment in segments:
        found.setdefault(segment[0], []).append(segment)
    return found


def state(
    folder: Path,
    *handlers: LoadHandler,
    spill_bytes: int = 64 << 20,
    segments_bytes: int = SEGMENTS_BYTES,
    guests: Guests | None = None,
    factories: ScopeFactories | None = None,
) -> ExecutorState:
    """Return the state of an executor with handlers loaded."""
    limits = OutputLimits(1000, spill_bytes, str(folder), segments_bytes)
    page = SharedPage(bytearray(PAGE_BYTES))
    no_limit = TimeLimit(lambda _kind, _seconds: None)  # the timer is the test runner's
    made = ExecutorState(Scope(), no_limit, page, limits, guests=guests, factories=factories)
    for handler in handlers:
        made.load(handler)
    return made
