from __future__ import annotations

import pytest

from jobx.actors.cluster.members import Loss, Member, NodeRecord, encode, losses, members_of, seen
from jobx.kv.leases import Held

RECORD = NodeRecord(7, "127.0.0.1:4150", ("w",), ("general",), 2, "1.1.0")


def test_a_record_comes_back_from_a_lease() -> None:
    holders = {"nodes/a": Held("host", "t1", encode(RECORD))}
    assert members_of(holders, "nodes/") == {"a": Member(RECORD, "t1")}


@pytest.mark.parametrize("value", ["", "rubbish", "[]", '{"registration": "x"}'])
def test_a_node_without_a_record_is_no_member(value: str) -> None:
    assert members_of({"nodes/a": Held("host", "t1", value)}, "nodes/") == {}


def test_fields_of_later_versions_are_ignored() -> None:
    value = encode(RECORD).replace("{", '{"colour": "red", ', 1)
    assert members_of({"nodes/a": Held("host", "t1", value)}, "nodes/")["a"].record == RECORD


@pytest.mark.parametrize(
    ("after", "lost"),
    [
        ({"a": Member(RECORD, "t1")}, []),
        ({}, [Loss("a", 7)]),
        ({"a": Member(RECORD, "t2")}, [Loss("a", 7)]),
        ({"a": Member(NodeRecord(8, RECORD.nsqd), "t1")}, [Loss("a", 7)]),
        ({"a": Member(RECORD, "t1"), "b": Member(RECORD, "t3")}, []),
    ],
)
def test_a_registration_ends_with_its_lease(after: dict[str, Member], lost: list[Loss]) -> None:
    assert losses({"a": Member(RECORD, "t1")}, after) == lost


@pytest.mark.parametrize(("workflows", "does_run"), [((), True), (("w",), True), (("v",), False)])
def test_a_node_runs_its_workflows(workflows: tuple[str, ...], *, does_run: bool) -> None:
    assert NodeRecord(workflows=workflows).runs("w") == does_run


def test_a_node_sees_which_others_answer_it_in_some_workflow() -> None:
    records = {"b": RECORD, "a": NodeRecord(), "c": RECORD}
    found = seen(records, [("b", False), ("b", True), ("c", False), ("gone", True)])
    assert [(one.node_id, one.is_up, one.executors) for one in found] == [
        ("a", None, 0), ("b", True, 2), ("c", False, 2),
    ]  # fmt: skip
