from __future__ import annotations

from collections import Counter

import pytest

from jobx.actors.cluster.heirs import PATIENCE_S, Heirs
from jobx.actors.cluster.members import NodeRecord

HEIR = NodeRecord(capabilities=("general",), slots=2, is_heir=True)
GPU = NodeRecord(capabilities=("general", "gpu"), slots=2, is_heir=True)
NAMES = [("w", f"r{number}") for number in range(600)]


def heirs(*node_ids: str) -> dict[str, NodeRecord]:
    return dict.fromkeys(node_ids, HEIR)


def first(found: dict[str, NodeRecord]) -> dict[tuple[str, str], str]:
    every = Heirs(found, ())
    return {names: every.order(names)[0] for names in NAMES}


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_survivors_get_about_the_same_share(count: int) -> None:
    shares = Counter(first(heirs(*"abcde"[:count])).values())
    assert len(shares) == count
    assert min(shares.values()) > len(NAMES) / count / 2


def test_all_survivors_agree_whatever_the_order_in_which_they_know_each_other() -> None:
    assert first(heirs("a", "b", "c")) == first(heirs("c", "a", "b"))


def test_only_requests_of_a_survivor_that_is_lost_go_to_others() -> None:
    before, after = first(heirs("a", "b", "c")), first(heirs("a", "b"))
    assert {names for names in NAMES if before[names] != after[names]} == {
        names for names in NAMES if before[names] == "c"
    }


def test_every_survivor_has_a_place_and_waits_for_those_before_it() -> None:
    found = Heirs(heirs("a", "b", "c"), ())
    for names in NAMES:
        waits = {name: found.waits_s(names, name) for name in found.order(names)}
        assert sorted(waits.values(), key=float) == [0.0, PATIENCE_S, 2 * PATIENCE_S]


@pytest.mark.parametrize(
    "better",
    [
        pytest.param({"a": GPU, "b": HEIR}, id="it offers what the lost node did"),
        pytest.param(
            {"a": GPU, "b": NodeRecord(capabilities=GPU.capabilities, is_heir=True)},
            id="it has executors",
        ),
    ],
)
def test_a_node_comes_first_that(better: dict[str, NodeRecord]) -> None:
    found = Heirs(better, ("gpu",))
    assert {tuple(found.order(names)) for names in NAMES} == {("a", "b")}


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(NodeRecord(slots=2), id="of an earlier version"),
        pytest.param(NodeRecord(slots=2, is_heir=True, workflows=("x",)), id="of other workflows"),
    ],
)
def test_a_node_adopts_nothing(record: NodeRecord) -> None:
    found = Heirs({"a": record, "b": HEIR}, ())
    assert [found.waits_s(("w", "r"), name) for name in "ab"] == [None, 0.0]
