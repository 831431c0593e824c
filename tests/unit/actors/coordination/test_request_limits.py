"""What no request may do."""

from __future__ import annotations

import pytest

from jobx.actors.request.branches import ROOT
from jobx.actors.request.decisions import RunMappers
from jobx.actors.request.events import Done, Failed, Mapped
from jobx.payload import Payload
from tests.unit.actors.coordination.report_desk import CHUNK, LIMITS, Desk, again, chunk_wire
from tests.unit.actors.request.driver import inline, mapped


@pytest.mark.parametrize(
    ("step", "count", "kind", "error_type"),
    [
        ("nowhere", 2, "protocol", "UnknownStep"),
        ("gpu", 2, "capability", "NoCapability"),
        ("s", 20, "limit", "TooManyInvocations"),
    ],
)
def test_a_mapper_that_may_not_map_on_ends_the_request(
    desk: Desk, step: str, count: int, kind: str, error_type: str
) -> None:
    (event,) = desk.hear(desk.root, "mapped", 0, step, chunk_wire(count), "d", True, 9, {})
    assert isinstance(event, Failed)
    assert (event.failure.kind, event.failure.type) == (kind, error_type)


@pytest.mark.parametrize("digest", ["d", "another"])
def test_mappers_that_are_yielded_again_count_once(desk: Desk, digest: str) -> None:
    most = LIMITS.max_invocations - 1  # and the root
    desk.hear(desk.root, "mapped", 0, "s", chunk_wire(most), "d", True, 9, {})
    desk.state.apply(again(ROOT))
    (event,) = desk.hear(desk.root, "mapped", 0, "s", chunk_wire(most), digest, True, 9, {})
    assert isinstance(event, Mapped)
    assert desk.state.tree.mapped_count == LIMITS.max_invocations


def test_a_request_that_may_wait_maps_on_to_what_nobody_can_do() -> None:
    desk = Desk(may_wait=True)
    (event,) = desk.hear(desk.root, "mapped", 0, "gpu", chunk_wire(2), "d", True, 9, {})
    assert isinstance(event, Mapped)


def test_a_tree_has_a_greatest_depth(desk: Desk) -> None:
    desk.state.apply(mapped(ROOT, 1, 1))
    work = RunMappers(desk.state.tree.chunks[1], 1, 1)
    desk.hear(work, "mapped", 1, "s", chunk_wire(1), "d", False, 9, {})
    deepest = RunMappers(desk.state.tree.chunks[2], 2, 1)
    (event,) = desk.hear(deepest, "mapped", 2, "s", chunk_wire(1), "d", False, 9, {})
    assert isinstance(event, Failed)
    assert event.failure.type == "TreeTooDeep"


def test_a_request_that_passed_on_too_much_ends(desk: Desk) -> None:
    work = desk.children(CHUNK)
    large, small = Payload(1, 2 << 20, None, "b1").to_wire(), inline(b"x").to_wire()
    (last,) = desk.hear(work, "returned", 1, 1, [large], True, b"", {})
    (event,) = desk.hear(work, "returned", 2, 1, [small], True, b"", {})
    assert isinstance(last, Done)
    assert isinstance(event, Failed)
    assert (event.failure.kind, event.failure.type) == ("limit", "TooMuchData")
