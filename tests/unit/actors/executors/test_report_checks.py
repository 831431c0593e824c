"""Answers that executors may not give, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from jobx import segments, values
from jobx.actors.executors.report_checks import fault_in
from jobx.errors import FrameError
from jobx.frames import encode
from jobx.payload import Payload, pack_offsets
from jobx.segments import ResultReport
from jobx.work import AnyWork
from tests.support.payloads import EMPTY
from tests.support.work import map_work, pull_work, reduce_work

MAP = map_work(1, 3)
KEEPS = map_work(1, 3, keeps=True)
PULL = pull_work()
REDUCE = reduce_work(partition=2)
FAILURE = {"kind": "author", "type": "ValueError", "message": "wrong"}
RUN = Payload(1, 1, b"x").to_wire()
IN_BLOB = Payload(1, 9, None, "b1", 7).to_wire()
CHUNK = Payload(2, 2, b"xy", offsets=pack_offsets([1, 2])).to_wire()
US = bytes(12)
TOLD = ["NOTIFY", "info", "h", "row %d", "row 1", ""]
NOTES = {1: {"output": "o", "session": {"k": {1: b"v"}}, "notifications": [TOLD]}}


def changed(wire: tuple[Any, ...], place: int, value: object) -> tuple[Any, ...]:
    return (*wire[:place], value, *wire[place + 1 :])


def fault(work: AnyWork, *answered: tuple[Any, ...], is_recalled: bool = False) -> str | None:
    """Return what a node finds wrong with an answer."""
    report = {"t": "result", "id": 1, "request_id": "r", "segments": answered}
    try:
        result = segments.decode(encode(report)[4:])
    except FrameError as error:
        return str(error)
    assert isinstance(result, ResultReport)
    return fault_in(work, result.segments, is_recalled=is_recalled)


def fault_of(work: AnyWork, segment: tuple[Any, ...]) -> str | None:
    """Return what a node finds wrong with a segment, in an answer with the other vertices."""
    first, count = segment[1], segment[2] if segment[0] in ("returned", "unstarted") else 1
    last = len(work.vertices)
    before = [("unstarted", 1, first - 1)] if first > 1 else []
    after = [("unstarted", first + count, last + 1 - first - count)]
    return fault(work, *before, segment, *(after if first + count <= last else []))


@pytest.mark.parametrize(
    ("work", "segment"),
    [
        (MAP, ("returned", 1, 1, [RUN, IN_BLOB], True, US, NOTES)),
        (MAP, ("returned", 1, 3, [], True, 3 * US, {})),
        (MAP, ("mapped", 3, "s", CHUNK, "d", True, 1, {})),
        (MAP, ("mapped", 3, "s", EMPTY.to_wire(), "", False, 1, {})),
        (MAP, ("failed", 2, FAILURE, 1, {}, "combiner")),
        (MAP, ("unstarted", 2, 2)),
        (PULL, ("mapped", 1, "s", CHUNK, "d", False, 1, NOTES)),
        (REDUCE, ("reduced", 1, 2, [RUN], 7, NOTES)),
        (REDUCE, ("failed", 1, FAILURE, 1, {})),
    ],
)
def test_answer_that_fits_has_no_fault(work: AnyWork, segment: tuple[Any, ...]) -> None:
    assert fault_of(work, segment) is None


def chunk_of(vertex: int, *, more: bool) -> tuple[Any, ...]:
    return ("mapped", vertex, "s", CHUNK, "d", more, 1, {})


@pytest.mark.parametrize("last", [chunk_of(1, more=True), ("failed", 1, FAILURE, 1, {})], ids=str)
def test_a_pull_may_bring_as_many_chunks_as_it_asks_for(last: tuple[Any, ...]) -> None:
    first = chunk_of(1, more=True)
    assert fault(pull_work(chunks=3), first, first, last) is None
    assert fault(pull_work(chunks=2), first, first, last) is not None


@pytest.mark.parametrize(
    ("work", "answered"),
    [
        (pull_work(chunks=3), [chunk_of(1, more=False), chunk_of(1, more=True)]),
        (pull_work(chunks=3), [chunk_of(1, more=True), chunk_of(2, more=True)]),
        (pull_work(chunks=3), [("failed", 1, FAILURE, 1, {}), chunk_of(1, more=True)]),
        (map_work(1, 1), [chunk_of(1, more=True), chunk_of(1, more=True)]),
    ],
    ids=["behind the last", "of another", "behind a failure", "of a batch"],
)
def test_chunks_that_cannot_follow_are_a_fault(work: AnyWork, answered: list[Any]) -> None:
    assert fault(work, *answered) is not None


@pytest.mark.parametrize(
    "notes",
    [
        [1],
        {0: 1},
        {1: 1},
        {1: []},
        {"m": {}},
        {9: {}},
        {1: {"output": 1}},
        {1: {"session": [1]}},
        {1: {"session": {1: 1}}},
        {1: {"notifications": 1}},
        {1: {"notifications": [TOLD[:5]]}},
    ],
    ids=str,
)
def test_notes_of_another_form_are_a_fault(notes: object) -> None:
    assert fault_of(MAP, ("returned", 1, 1, [], True, US, notes)) is not None


@pytest.mark.parametrize(
    "wire",
    [
        [],
        changed(CHUNK, 0, -1),
        changed(CHUNK, 0, 3),
        changed(CHUNK, 1, 3),
        changed(CHUNK, 2, None),
        changed(CHUNK, 2, "text"),
        changed(CHUNK, 3, "b1"),
        changed(CHUNK, 4, 1 << 32),
        changed(CHUNK, 5, b"12345"),
        changed(CHUNK, 6, 1),
        changed(CHUNK, 6, [-1]),
        changed(CHUNK, 7, b"1"),
        changed(CHUNK, 8, -1),
        (*CHUNK, 1),
    ],
    ids=values.pack,
)
def test_chunk_of_another_form_is_a_fault(wire: object) -> None:
    assert fault_of(MAP, ("mapped", 1, "s", wire, "d", False, 1, {})) is not None


@pytest.mark.parametrize("wire", [[], changed(RUN, 1, 2), changed(RUN, 2, None)], ids=values.pack)
@pytest.mark.parametrize("kind", ["returned", "reduced"])
def test_run_of_another_form_is_a_fault(kind: str, wire: object) -> None:
    if kind == "returned":
        found = fault_of(MAP, ("returned", 1, 1, [wire], True, US, {}))
    else:
        found = fault_of(REDUCE, ("reduced", 1, 2, [wire], 7, {}))
    assert found is not None


@pytest.mark.parametrize("size", [0, 11, 13, 24])
def test_durations_are_three_for_each_invocation(size: int) -> None:
    assert fault_of(MAP, ("returned", 1, 1, [], True, bytes(size), {})) is not None


@pytest.mark.parametrize(
    ("work", "segment"),
    [
        (MAP, ("returned", 0, 1, [], True, US, {})),
        (MAP, ("returned", 1, 4, [], True, 4 * US, {})),
        (MAP, ("returned", 1, 0, [], True, b"", {})),
        (MAP, ("returned", -1, 1, [], True, US, {})),
        (MAP, ("mapped", 1, "s", CHUNK, "d", False, -1, {})),
        (MAP, ("failed", 4, FAILURE, 1, {})),
        (MAP, ("failed", 1, FAILURE, 1, {}, "marker")),
        (MAP, ("failed", 1, {}, 1, {})),
        (MAP, ("unstarted", 2, 3)),
        (MAP, ("reduced", 1, 0, [], 1, {})),
        (MAP, ("combined", 1, [], 1, {})),
        (PULL, ("unstarted", 1, 1)),
        (PULL, ("mapped", 2, "s", CHUNK, "d", False, 1, {})),
        (REDUCE, ("reduced", 1, 1, [], 7, {})),
        (REDUCE, ("returned", 1, 1, [], True, US, {})),
    ],
)
def test_answer_to_something_else_is_a_fault(work: AnyWork, segment: tuple[Any, ...]) -> None:
    assert fault_of(work, segment) is not None


WHOLE = ("returned", 1, 3, [], True, 3 * US, {})
KEPT = ("returned", 1, 1, [], False, US, {})
FAILED = ("failed", 1, FAILURE, 1, {}, "reducer")
REST = ("unstarted", 2, 2)


def one(vertex: int) -> tuple[Any, ...]:
    return ("returned", vertex, 1, [], True, US, {})


@pytest.mark.parametrize(
    ("work", "answered"),
    [
        (MAP, [one(1), one(2), one(3)]),
        (MAP, [("unstarted", 1, 3)]),
        (MAP, [("mapped", 1, "s", CHUNK, "d", True, 1, {}), REST]),
        (MAP, [FAILED, REST]),
        (KEEPS, [KEPT, FAILED, REST]),
        (KEEPS, [KEPT, one(2), one(3)]),
        (map_work(keeps=True), [KEPT, FAILED]),
        (KEEPS, [KEPT, ("failed", 2, FAILURE, 1, {}), one(3)]),
    ],
)
def test_answer_of_each_vertex_once_has_no_fault(
    work: AnyWork, answered: list[tuple[Any, ...]]
) -> None:
    assert fault(work, *answered) is None


@pytest.mark.parametrize(
    ("work", "answered"),
    [
        (MAP, []),
        (PULL, []),
        (MAP, [one(1)]),
        (MAP, [one(1), one(2)]),
        (MAP, [one(2), one(3)]),
        (MAP, [one(1), one(3)]),
        (MAP, [one(1), one(1), REST]),
        (MAP, [one(1), one(3), one(2)]),
        (MAP, [WHOLE, one(3)]),
        (MAP, [WHOLE, WHOLE]),
        (MAP, [one(1), ("unstarted", 1, 3)]),
        (MAP, [one(1), REST, REST]),
        (MAP, [one(1), ("unstarted", 2, 0), REST]),
        (MAP, [KEPT, FAILED, REST]),
        (KEEPS, [one(1), FAILED, REST]),
        (KEEPS, [KEPT, FAILED, FAILED, REST]),
        (KEEPS, [KEPT, KEPT, REST]),
        (PULL, [("mapped", 1, "s", CHUNK, "d", True, 1, {})] * 2),
        (REDUCE, [("reduced", 1, 2, [], 7, {})] * 2),
    ],
)
@pytest.mark.parametrize("is_recalled", [False, True])
def test_answer_with_a_vertex_left_out_or_twice_is_a_fault(
    work: AnyWork, answered: list[tuple[Any, ...]], is_recalled: bool
) -> None:
    assert fault(work, *answered, is_recalled=is_recalled) is not None


def test_only_a_recalled_reducer_is_answered_with_nothing() -> None:
    assert fault(REDUCE, is_recalled=True) is None
    assert fault(REDUCE, is_recalled=False) is not None
