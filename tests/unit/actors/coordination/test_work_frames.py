from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from jobx import model, values
from jobx.actors.coordination.work_frames import (
    CHUNKS_BYTES,
    HELD_BYTES,
    SMALL_BYTES,
    FrameBuilder,
)
from jobx.actors.ports import Services
from jobx.actors.request.branches import ROOT
from jobx.actors.request.decisions import CHUNK_PAIRS, PullMapper, RunMappers, RunReducer
from jobx.actors.request.events import Accepted, Done, Mapped
from jobx.actors.request.state import PARTITIONS, RequestState
from jobx.config import Settings
from jobx.config_sections import ExecutorSettings, RequestSettings
from jobx.model import HandlerRef, Plan, PlanStep
from jobx.payload import Payload, pack_offsets
from jobx.work import BlobPart, MapWork, ReduceWork
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

    def mappers(self, first: int, count: int) -> MapWork:
        chunk = self.state.tree.chunk_of(first)
        assert chunk is not None
        work = self.frames.mappers(9, RunMappers(chunk, first, count)).work
        assert isinstance(work, MapWork)
        return work


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_every_frame_says_which_request_it_is_of(desk: Desk) -> None:
    work = desk.mappers(1, 2)
    told = work.request
    assert (told.id, told.workflow, told.job, told.context) == ("r1", "flow", "job", {"who": "me"})
    assert (work.chunk_pairs, work.sections) == (CHUNK_PAIRS, PARTITIONS)


def test_the_root_is_marked_and_leaves_synced_blobs(desk: Desk) -> None:
    root, child = desk.mappers(ROOT, 1), desk.mappers(1, 1)
    assert (root.root, root.sync, root.pairs) == (True, True, b"args")
    assert (child.root, child.sync) == (False, False)


@pytest.mark.parametrize(
    ("first", "count", "pairs"),
    [(1, 4, b"abbcccdddd"), (1, 1, b"a"), (2, 2, b"bbccc"), (4, 1, b"dddd")],
)
def test_a_batch_carries_its_own_items(desk: Desk, first: int, count: int, pairs: bytes) -> None:
    work = desk.mappers(first, count)
    assert (work.first, work.count, work.pairs) == (first, count, pairs)


def test_a_batch_of_a_chunk_in_a_blob_says_where_its_items_are(tmp_path: Path) -> None:
    sums = pack_offsets([5, 6, 7, 8])
    in_blob = Payload(4, 10, None, "b1", 77, CHILDREN.offsets, sums=sums)
    work = Desk(tmp_path, in_blob).mappers(2, 2)
    ends, sums = CHILDREN.offsets[4:12], pack_offsets([6, 7])
    assert work.blob == BlobPart("b1", 10, 77, 1, 6, ends, sums)
    assert work.pairs is None


@pytest.mark.parametrize(("count", "sums"), [(4, [77]), (2, [])], ids=["whole", "part"])
def test_a_blob_of_items_without_checksums_is_checked_where_all_of_it_is_read(
    count: int, sums: list[int], tmp_path: Path
) -> None:
    in_blob = Payload(4, 10, None, "b1", 77, CHILDREN.offsets)
    blob = Desk(tmp_path, in_blob).mappers(1, count).blob
    assert blob is not None and blob.sums == pack_offsets(sums)


def test_a_run_names_all_handlers_that_it_needs(desk: Desk) -> None:
    chunk = desk.state.tree.chunks[1]
    run = desk.frames.mappers(9, RunMappers(chunk, 1, 1))
    assert run.work.versions == ("v-m", "v-c", "v-r")
    assert (run.ticket, tuple(run.key)) == (9, ("flow", "r1"))
    plain = desk.frames.mappers(9, RunMappers(desk.state.tree.chunks[ROOT], ROOT, 1))
    assert plain.work.versions == ("v-m", "v-r")


def test_a_handler_may_have_a_time_limit_of_its_own(desk: Desk) -> None:
    own = desk.frames.mappers(9, RunMappers(desk.state.tree.chunks[1], 1, 1))
    other = desk.frames.mappers(9, RunMappers(desk.state.tree.chunks[ROOT], ROOT, 1))
    assert (own.work.time_limit_s, other.work.time_limit_s) == (7.0, 60.0)


def test_only_attempts_beyond_the_first_are_told(desk: Desk) -> None:
    assert desk.mappers(1, 4).attempts == {}
    desk.state.apply(retried(1, 2))
    desk.state.apply(retried(1, 4))
    assert desk.mappers(1, 3).attempts == {2: 2}


def test_a_pull_names_the_mapper_that_is_kept(desk: Desk) -> None:
    pull = desk.frames.pull(3, PullMapper(ROOT, 1, chunks=2))
    assert (pull.ticket, pull.work.vertex, pull.work.chunks) == (3, ROOT, 2)
    assert (pull.work.step, pull.work.time_limit_s) == ("plain", 60.0)


def test_a_mapper_that_is_pulled_writes_blobs_once_chunks_hold_much(desk: Desk) -> None:
    desk.state.tree.chunk_bytes = CHUNKS_BYTES
    assert desk.frames.pull(3, PullMapper(ROOT, 1)).work.inline_bytes == 5000
    desk.state.tree.chunk_bytes += 1
    assert desk.frames.pull(4, PullMapper(ROOT, 1)).work.inline_bytes == 0


def test_a_reduction_carries_its_inputs_and_the_session(desk: Desk) -> None:
    notes = {ROOT: {"session": {"seen": 1}}}
    desk.state.apply(Done(1.0, "map", ROOT, ROOT, 1, "mapped", notes=notes))
    decision = RunReducer(ROOT, 2, PARTITIONS, 1, (inline(b"a"), inline(b"b")))
    work = desk.frames.reducer(5, decision).work
    assert isinstance(work, ReduceWork)
    assert (work.vertex, work.reducer) == (ROOT, "v-r")
    assert [Payload.from_wire(wire) for wire in work.inputs] == list(decision.inputs)
    assert (work.partition, work.partitions) == (2, PARTITIONS)
    assert (values.unpack(work.session), work.attempt, work.sync) == ({"seen": 1}, 1, True)
    assert (work.versions, work.time_limit_s) == (("v-r",), 5.0)


def test_a_reduction_below_the_root_needs_no_sync(desk: Desk) -> None:
    desk.state.apply(done(1, 2, outcome="combined", body=b"x"))
    assert desk.frames.reducer(5, RunReducer(2, 0, 1, 1, ())).work.sync is False


def test_executors_write_more_into_blobs_once_much_waits_for_reducers(desk: Desk) -> None:
    assert desk.mappers(1, 1).inline_bytes == 5000
    desk.state.tree.held_bytes = HELD_BYTES + 1
    assert desk.mappers(1, 1).inline_bytes == SMALL_BYTES
    desk.state.tree.held_bytes = 4 * HELD_BYTES + 1
    assert desk.mappers(1, 1).inline_bytes == 0
