"""A request whose log, blobs and plan are there, for tests of dumps."""

from __future__ import annotations

import array
import zlib
from pathlib import Path
from typing import Any

from jobx import entity_json, model, values
from jobx.actors.inspection.dumps import text as dump_text
from jobx.actors.inspection.dumps.dump import Dump
from jobx.actors.inspection.dumps.lines import DumpLine
from jobx.actors.request.events import Accepted, Done, Event, Mapped, Retried, to_record
from jobx.actors.request.spans import Span
from jobx.kv import keys
from jobx.kv.blobs import BlobFolder
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import event_log, request_entity
from jobx.kv.store import Put
from jobx.model import Counts, Failure, HandlerRef, Plan, PlanStep
from jobx.payload import STAGE_DATA, Payload, StageData, pack_offsets
from jobx.questions import GetDump


def _ref(name: str) -> HandlerRef:
    return HandlerRef(handler_name=name, version=f"{name}-1")


PLAN = Plan(
    steps={
        "split": PlanStep(mapper=_ref("split_map"), reducer=_ref("total")),
        "leaf": PlanStep(mapper=_ref("leaf_map"), combiner=_ref("pack"), reducer=_ref("total")),
    }
)
WRONG = Failure(kind="author", type="ValueError", message="wrong", traceback="  line 7\n")
GONE = Failure(kind="blob", type="BlobDamaged", message="gone", input="b")


def items(*given: Any) -> Payload:
    packed = [values.pack(item) for item in given]
    ends = [sum(map(len, packed[: n + 1])) for n in range(len(packed))]
    return Payload(len(given), ends[-1], b"".join(packed), offsets=pack_offsets(ends))


def run_of(*given: Any) -> Payload:
    body = b"".join(values.pack(item) for item in given)
    return Payload(len(given), len(body), body)


def us(*spent: int) -> bytes:
    return array.array("I", spent).tobytes()


ACCEPTED = Accepted(1.0, "j", "split", "digest", items([["text", "ab"]]), 60.0, node="n1")
MAPPED = Mapped(2.0, 0, 0, "leaf", 1, 2, items(["a", 1], ["b", 2]), "d")
SPLIT = Done(2.5, "map", 0, 0, 1, "mapped", durations=us(5000), span=Span(7, 1_000_000, 5000))
LEAVES = Done(
    4.0, "map", 1, 1, 2, "reduced", durations=us(1000, 2000, 10, 20, 100, 200),
    notes={2: {"output": "hi\n", "reducer_output": "ho\n", "session": {"s": 1}}},
    span=Span(8, 1_000_000, 3330), node="n2",
)  # fmt: skip
TOTAL = Done(
    5.0,
    "reduce",
    0,
    0,
    1,
    "reduced",
    (run_of(["a", [1]]),),
    durations=us(700),
    span=Span(9, 700, 700),
)
WHOLE = (ACCEPTED, MAPPED, SPLIT, LEAVES, TOTAL)


class Sample:
    """A request in a store of its own."""

    def __init__(self, folder: Path, *events: Event, state: str = "succeeded") -> None:
        self.store = MemoryStore()
        self.blobs = BlobFolder(folder)
        retried = sum(isinstance(event, Retried) for event in events)
        request = model.Request(
            workflow_name="w", request_id="r1", job_name="j", invocation_id="m0", accepted_at=1.0,
            state=state, is_done=state != "running", counts=Counts(retried=retried),
            context={"who": "me"},
        )  # fmt: skip
        writes = [
            *request_entity.accept_writes(request, "n1"),
            Put(keys.plan("w", "digest"), entity_json.encode(PLAN)),
        ]
        for number, event in enumerate(events):
            writes.append(event_log.event_write("w", "r1", number, to_record(event)))
        self.store.commit(writes)

    def lines(self, **asked: Any) -> list[DumpLine]:
        return list(Dump(self.store, self.blobs, self._asked(asked)).lines())

    def text(self, **asked: Any) -> bytes:
        return b"".join(dump_text.chunks(self.store, self.blobs, self._asked(asked)))

    def first_chunk(self, **asked: Any) -> bytes:
        return next(dump_text.chunks(self.store, self.blobs, self._asked(asked)))

    def by_id(self, **asked: Any) -> dict[str, DumpLine]:
        lines = self.lines(**asked)
        found = {line.invocation_id: line for line in lines}
        assert len(found) == len(lines)
        return found

    def _asked(self, asked: dict[str, Any]) -> GetDump:
        return GetDump(workflow="w", request_id="r1", **asked)


def stage_data(blobs: BlobFolder, *records: tuple[int, str, Any]) -> StageData:
    """Write the blob of what stages yielded, and return where it is."""
    packed = [values.pack([v, stage, 1, values.pack(found)]) for v, stage, found in records]
    body = zlib.compress(b"".join(packed))
    name = f"x{STAGE_DATA}"
    (blobs.create("w", "r1") / name).write_bytes(body)
    return StageData(name, len(body), zlib.crc32(body))
