from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.actors.cluster.lending import DEPTH, NodeLoad, choose, offers, wants

COUNTS = st.integers(0, 20)
LOADS = st.builds(NodeLoad, st.integers(1, 20), COUNTS, st.booleans(), COUNTS)


@pytest.mark.parametrize(
    ("load", "wanting", "offered"),
    [
        (NodeLoad(4, 0), "", {}),
        (NodeLoad(4, 0), "b", {"b": 4}),
        (NodeLoad(4, 1), "bc", {"b": 2, "c": 1}),
        (NodeLoad(2, 0), "bcd", {"b": 1, "c": 1, "d": 0}),
        (NodeLoad(2, 2), "b", {"b": 0}),
        (NodeLoad(2, 5), "b", {"b": 0}),
        (NodeLoad(2, 0, lent=2), "b", {"b": 2}),
    ],
)
def test_idle_executors_are_shared_out(
    load: NodeLoad, wanting: str, offered: dict[str, int]
) -> None:
    assert offers(load, list(wanting)) == offered


@given(load=LOADS, wanting=st.sets(st.integers(0, 9)))
def test_each_idle_executor_is_offered_once(load: NodeLoad, wanting: set[int]) -> None:
    found = offers(load, list(wanting))
    assert set(found) == wanting
    assert sum(found.values()) == (max(0, load.slots - load.own) if wanting else 0)


@pytest.mark.parametrize(
    ("load", "borrowed", "is_wanted"),
    [
        (NodeLoad(2, 0), 0, False),
        (NodeLoad(2, 1, is_divisible=True), 0, False),
        (NodeLoad(2, 2), 0, False),
        (NodeLoad(2, 2, is_divisible=True), 0, True),
        (NodeLoad(2, 2), 1, True),
        (NodeLoad(2, 1), 1, False),
        (NodeLoad(2, 3), 0, True),
        (NodeLoad(2, 1, lent=2), 0, True),
        (NodeLoad(2, 0, lent=2), 0, False),
        (NodeLoad(2, 1, lent=1), 0, False),
    ],
)
def test_a_node_wants_executors_when_its_own_have_work_and_there_is_more(
    load: NodeLoad, borrowed: int, *, is_wanted: bool
) -> None:
    assert wants(load, borrowed) == is_wanted


@pytest.mark.parametrize(
    ("own", "used", "place"),
    [
        (0, 0, None),
        (1, 0, None),
        (2, 0, "b"),
        (2, 1, None),
        (3, 1, None),
        (4, 1, "b"),
        (4, 2, None),
    ],
)
def test_idle_executors_come_first_then_those_here(own: int, used: int, place: str | None) -> None:
    assert choose(NodeLoad(2, own), {"b": 1}, {"b": used}) == place


@pytest.mark.parametrize(("own", "lent", "place"), [(0, 1, None), (1, 1, "b"), (0, 2, "b")])
def test_executors_at_work_for_others_are_not_idle(own: int, lent: int, place: str | None) -> None:
    assert choose(NodeLoad(2, own, lent=lent), {"b": 1}, {"b": 0}) == place


@given(load=LOADS, offered=st.dictionaries(st.integers(0, 5), COUNTS), data=st.data())
def test_nobody_gets_more_than_it_offered(
    load: NodeLoad, offered: dict[int, int], data: st.DataObject
) -> None:
    used = {lane: data.draw(COUNTS) for lane in offered}
    place = choose(load, offered, used)
    assert place is None or used[place] < DEPTH * offered[place]
