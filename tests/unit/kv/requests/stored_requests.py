"""Requests as a store has them."""

from __future__ import annotations

import msgspec

from jobx import model
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import request_entity
from jobx.model import Request


def request(request_id: str, **fields: object) -> Request:
    known: dict[str, object] = {
        "workflow_name": "flow",
        "job_name": "count",
        "invocation_id": "i1",
        "accepted_at": 1.0,
    }
    return Request(request_id=request_id, **{**known, **fields})


FAILURE = model.Failure(kind="author", type="KeyError", message="why")


def accept(store: MemoryStore, *accepted: Request) -> None:
    for one in accepted:
        store.commit(request_entity.accept_writes(one, "node1", "print"))


def finish(store: MemoryStore, one: Request, finished_at: float = 10.0) -> Request:
    done = msgspec.structs.replace(one, state="succeeded", is_done=True, finished_at=finished_at)
    store.commit(request_entity.finish_writes(done, "node1"))
    return done
