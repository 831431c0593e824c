from __future__ import annotations

import contextlib
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from jobx import values, work
from jobx.errors import FrameError
from jobx.frames import encode
from jobx.work import (
    AnyWork,
    BlobPart,
    CombineWork,
    DropMappers,
    Leave,
    LoadHandler,
    Order,
    RequestInfo,
    WorkFrame,
)
from tests.support.payloads import EMPTY
from tests.support.work import map_work, pull_work, reduce_work

COMBINE = CombineWork(
    request=RequestInfo("r", "w", "j"),
    step="s",
    time_limit_s=1.0,
    inline_bytes=1,
    vertex=3,
    combiner="c",
    inputs=[EMPTY.to_wire()],
)
KINDS = [map_work(3, 2), pull_work(3), COMBINE, reduce_work(3)]


@pytest.mark.parametrize(
    "order",
    [
        *(WorkFrame(1, "/blobs", "stem", one) for one in KINDS),
        WorkFrame(2, "/blobs", "stem", map_work(blob=BlobPart("b", 9, 7, 0, 9))),
        LoadHandler("v", "h", "w", "mapper", "python", "yield 1", [("n", "int")]),
        DropMappers("r"),
        DropMappers("r", [1, 2]),
        Leave(),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_a_node_tells_arrives_as_it_was(order: Order) -> None:
    assert work.decode(encode(order)[4:]) == order


@pytest.mark.parametrize(
    ("one", "vertices", "versions"),
    [
        (KINDS[0], range(3, 5), ("m", "r")),
        (KINDS[1], range(3, 4), ()),
        (KINDS[2], range(3, 4), ("c",)),
        (KINDS[3], range(3, 4), ("r",)),
    ],
)
def test_work_tells_its_vertices_and_the_handlers_it_needs(
    one: AnyWork, vertices: range, versions: tuple[str, ...]
) -> None:
    assert (one.vertices, one.versions) == (vertices, versions)


def test_a_stage_of_a_trip_may_have_a_time_limit_of_its_own() -> None:
    one = map_work(limits_s={"reducer": 5.0}, time_limit_s=9.0)
    assert [one.limit_s(stage) for stage in ("mapper", "combiner", "reducer")] == [9.0, 9.0, 5.0]


def test_a_context_may_hold_any_value() -> None:
    context = {"big": 1 << 80, "deep": [{"k": None}]}
    request = RequestInfo("r", "w", "j", values.pack(context))
    read = msgspec.msgpack.decode(msgspec.msgpack.encode(request), type=RequestInfo)
    assert read.context == context


@given(body=st.binary(max_size=60))
def test_any_bytes_are_an_order_or_a_frame_error(body: bytes) -> None:
    with contextlib.suppress(FrameError):
        work.decode(body)


@pytest.mark.parametrize("told", [{"t": "dance"}, {}, [1], {"t": "work", "id": 1}])
def test_what_an_executor_does_not_know_is_refused(told: object) -> None:
    with pytest.raises(FrameError, match="knows no such frame"):
        work.decode(encode(told)[4:])


@pytest.mark.parametrize(
    "one",
    [
        map_work(count=0),
        map_work(count=-5),
        map_work(count=1 << 63),
        map_work(first=-1),
        pull_work(-1),
        reduce_work(1 << 63),
    ],
)
def test_work_without_vertices_that_there_can_be_is_refused(one: AnyWork) -> None:
    with pytest.raises(FrameError, match="Expected `int`"):
        work.decode(encode(WorkFrame(1, "/blobs", "stem", one))[4:])


@pytest.mark.parametrize("limit_s", [math.nan, math.inf, 0.0, -1.0])
def test_work_without_a_time_limit_that_ends_is_refused(limit_s: float) -> None:
    stages = map_work(limits_s={"reducer": limit_s})
    for one in (structs.replace(map_work(), time_limit_s=limit_s), stages):
        with pytest.raises(FrameError, match="Expected `float`"):
            work.decode(encode(WorkFrame(1, "/blobs", "stem", one))[4:])
