from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from jobx import model
from jobx.actors.coordination.work_frames import HELD_BYTES, SMALL_BYTES, FrameBuilder
from jobx.actors.ports import Services
from jobx.actors.request.decisions import CHUNK_PAIRS, RunMappers, RunReducer
from jobx.actors.request.events import Accepted, Done, Mapped
from jobx.actors.request.state import PARTITIONS, RequestState
from jobx.actors.request.tree import ROOT
from jobx.config import ExecutorSettings, RequestSettings, Settings
from jobx.model import HandlerRef, Plan, PlanStep
from jobx.payload import Payload, pack_offsets
from tests.unit.actors.request.driver import done, inline, retried

REQUEST = model.Request(
    workflow_name="flow",
    request_id="r1",
    job_name="job",
    invocation_id="m0",
    accepted_at=1.0,
    context={"who": "me"},
)
SETTINGS = Settings(
    requests=RequestSettings(invocation_time_limit_s=60.0),
    executors=ExecutorSettings(inline_bytes=5000),
)
#: Children of 1, 2, 3 and 4 bytes.
CHILDREN = Payload(4, 10, b"abbcccdddd", offsets=pack_offsets([1, 3, 6, 10]))


def _ref(name: str, **fields: Any) -> HandlerRef:
    return HandlerRef(handler_name=name, version=f"v-{name}", **fields)


PLAN = Plan(
    steps={
        "plain": PlanStep(mapper=_ref("m"), reducer=_ref("r", time_limit_s=5.0)),
        "full": PlanStep(mapper=_ref("m", time_limit_s=7.0), combiner=_ref("c"), reducer=_ref("r")),
    }
)


class Desk:
    """A request whose root mapped four children, and what builds its frames."""

    def __init__(self, tmp_path: Path, children: Payload = CHILDREN) -> None:
        self.state = RequestState(PLAN)
        root = Payload(1, 4, b"args", offsets=pack_offsets([4]))
        self.state.apply(Accepted(1.0, "job", "plain", "p", root, 60.0))
        self.state.apply(Mapped(1.0, ROOT, ROOT, "full", 1, 4, children, ""))
        services = SimpleNamespace(settings=SETTINGS)
        self.frames = FrameBuilder(REQUEST, self.state, cast("Services", services))

    def mappers(self, first: int, count: int) -> dict[str, Any]:
        chunk = self.state.tree.chunk_of(first)
        assert chunk is not None
        return self.frames.mappers(9, RunMappers(chunk, first, count)).frame


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_every_frame_says_which_request_it_is_of(desk: Desk) -> None:
    frame = desk.mappers(1, 2)
    assert frame["request"] == {
        "id": "r1",
        "workflow": "flow",
        "job": "job",
        "context": {"who": "me"},
    }
    assert (frame["chunk_pairs"], frame["partitions"]) == (CHUNK_PAIRS, PARTITIONS)


def test_the_root_is_marked_and_leaves_synced_blobs(desk: Desk) -> None:
    root, child = desk.mappers(ROOT, 1), desk.mappers(1, 1)
    assert (root["root"], root["sync"], root["pairs"]) == (True, True, b"args")
    assert (child["root"], child["sync"]) == (False, False)


@pytest.mark.parametrize(
    ("first", "count", "pairs"),
    [(1, 4, b"abbcccdddd"), (1, 1, b"a"), (2, 2, b"bbccc"), (4, 1, b"dddd")],
)
def test_a_batch_carries_its_own_items(desk: Desk, first: int, count: int, pairs: bytes) -> None:
    frame = desk.mappers(first, count)
    assert (frame["first"], frame["count"], frame["pairs"]) == (first, count, pairs)


def test_a_batch_of_a_chunk_in_a_blob_says_where_its_items_are(tmp_path: Path) -> None:
    sums = pack_offsets([5, 6, 7, 8])
    in_blob = Payload(4, 10, None, "b1", 77, CHILDREN.offsets, sums=sums)
    frame = Desk(tmp_path, in_blob).mappers(2, 2)
    ends = CHILDREN.offsets[4:12]
    part = {"start": 1, "stop": 6, "ends": ends, "sums": pack_offsets([6, 7])}
    assert frame["blob"] == {"name": "b1", "size": 10, "checksum": 77, **part}
    assert "pairs" not in frame


@pytest.mark.parametrize(("count", "sums"), [(4, [77]), (2, [])], ids=["whole", "part"])
def test_a_blob_of_items_without_checksums_is_checked_where_all_of_it_is_read(
    count: int, sums: list[int], tmp_path: Path
) -> None:
    in_blob = Payload(4, 10, None, "b1", 77, CHILDREN.offsets)
    frame = Desk(tmp_path, in_blob).mappers(1, count)
    assert frame["blob"]["sums"] == pack_offsets(sums)


def test_a_run_names_all_handlers_that_it_needs(desk: Desk) -> None:
    chunk = desk.state.tree.chunks[1]
    run = desk.frames.mappers(9, RunMappers(chunk, 1, 1))
    assert run.versions == ("v-m", "v-c", "v-r")
    assert (run.ticket, tuple(run.key)) == (9, ("flow", "r1"))
    plain = desk.frames.mappers(9, RunMappers(desk.state.tree.chunks[ROOT], ROOT, 1))
    assert plain.versions == ("v-m", "v-r")
    assert plain.frame["combiner"] is None


def test_a_handler_may_have_a_time_limit_of_its_own(desk: Desk) -> None:
    own = desk.frames.mappers(9, RunMappers(desk.state.tree.chunks[1], 1, 1))
    other = desk.frames.mappers(9, RunMappers(desk.state.tree.chunks[ROOT], ROOT, 1))
    assert (own.time_limit_s, own.frame["time_limit_s"]) == (7.0, 7.0)
    assert (other.time_limit_s, other.frame["time_limit_s"]) == (60.0, 60.0)


def test_only_attempts_beyond_the_first_are_told(desk: Desk) -> None:
    assert desk.mappers(1, 4)["attempts"] == {}
    desk.state.apply(retried(1, 2))
    desk.state.apply(retried(1, 4))
    assert desk.mappers(1, 3)["attempts"] == {2: 2}


def test_a_pull_names_the_mapper_that_is_kept(desk: Desk) -> None:
    pull = desk.frames.pull(3, ROOT)
    assert (pull.ticket, pull.vertex, pull.frame["vertex"]) == (3, ROOT, ROOT)
    assert (pull.frame["t"], pull.frame["step"], pull.time_limit_s) == ("pull", "plain", 60.0)


def test_a_reduction_carries_its_inputs_and_the_session(desk: Desk) -> None:
    notes = {ROOT: {"session": {"seen": 1}}}
    desk.state.apply(Done(1.0, "map", ROOT, ROOT, 1, "mapped", notes=notes))
    work = RunReducer(ROOT, 2, PARTITIONS, 1, (inline(b"a"), inline(b"b")))
    run = desk.frames.reducer(5, work)
    frame = run.frame
    assert (frame["t"], frame["vertex"], frame["reducer"]) == ("reduce", ROOT, "v-r")
    assert [Payload.from_wire(wire) for wire in frame["inputs"]] == list(work.inputs)
    assert (frame["partition"], frame["partitions"]) == (2, PARTITIONS)
    assert (frame["session"], frame["attempt"], frame["sync"]) == ({"seen": 1}, 1, True)
    assert (run.versions, run.time_limit_s) == (("v-r",), 5.0)


def test_a_reduction_below_the_root_needs_no_sync(desk: Desk) -> None:
    desk.state.apply(done(1, 2, outcome="combined", body=b"x"))
    frame = desk.frames.reducer(5, RunReducer(2, 0, 1, 1, ())).frame
    assert frame["sync"] is False


def test_executors_write_more_into_blobs_once_much_waits_for_reducers(desk: Desk) -> None:
    assert desk.mappers(1, 1)["inline_bytes"] == 5000
    desk.state.tree.held_bytes = HELD_BYTES + 1
    assert desk.mappers(1, 1)["inline_bytes"] == SMALL_BYTES
    desk.state.tree.held_bytes = 4 * HELD_BYTES + 1
    assert desk.mappers(1, 1)["inline_bytes"] == 0


def test_frames_are_what_a_frame_can_hold(desk: Desk) -> None:
    assert msgspec.msgpack.encode(desk.mappers(1, 4))
