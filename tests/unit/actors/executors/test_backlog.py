"""What waits for executors: turns, owners, and work that does not grow with it."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from jobx.actors.executors.backlog import Backlog
from jobx.actors.executors.process import WorkItem
from jobx.actors.messages import RequestKey
from jobx.actors.runtime.address import Address
from tests.support.work import map_work


def item(number: int, workflow: str = "w", request: str = "r", owner: int = 1) -> WorkItem:
    key = RequestKey(workflow, request)
    return WorkItem(number, key, map_work(), Address("local", 1, owner))


def taken(backlog: Backlog, workflow: str = "w") -> list[int]:
    found = []
    while workflow in backlog.short:
        found.append(backlog.short.take(workflow).ticket)
    return found


def test_requests_of_a_workflow_take_turns() -> None:
    backlog = Backlog()
    for number, request in enumerate("aaabc"):
        backlog.short.add(item(number, request=request))
    assert taken(backlog) == [0, 3, 4, 1, 2]


def test_workflows_take_turns() -> None:
    backlog = Backlog()
    for number, workflow in enumerate("vvw"):
        backlog.short.add(item(number, workflow))
    assert list(backlog.short.workflows(2)) == ["v", "w"]
    backlog.short.take("v")
    assert list(backlog.short.workflows(2)) == ["w", "v"]


def test_what_is_given_back_comes_first_of_its_request() -> None:
    backlog = Backlog()
    backlog.short.add(item(1))
    backlog.short.add(item(2), first=True)
    assert taken(backlog) == [2, 1]


def test_an_owner_s_work_is_forgotten_wherever_it_waits() -> None:
    backlog = Backlog()
    for number, is_long in enumerate([False, True, False, True]):
        (backlog.long if is_long else backlog.short).add(
            item(number, owner=number % 2 + number // 2)
        )
    backlog.drop(RequestKey("w", "r"), Address("local", 1, 1))
    backlog.drop(RequestKey("w", "r"), Address("local", 1, 99))
    backlog.drop(RequestKey("w", "other"), Address("local", 1, 0))
    assert (len(backlog.short), len(backlog.long)) == (1, 1)


@given(
    st.lists(
        st.tuples(
            st.sampled_from("vw"),
            st.sampled_from("ab"),
            st.integers(1, 3),
            st.booleans(),
            st.booleans(),
        ),
        max_size=30,
    ),
    st.lists(st.integers(1, 3), max_size=2),
)
def test_everything_is_counted_and_taken_once(
    added: list[tuple[str, str, int, bool, bool]], dropped: list[int]
) -> None:
    backlog = Backlog()
    for number, (workflow, request, owner, is_long, first) in enumerate(added):
        (backlog.long if is_long else backlog.short).add(
            item(number, workflow, request, owner), first=first
        )
    for owner in dropped:
        for workflow, request in product("vw", "ab"):
            backlog.drop(RequestKey(workflow, request), Address("local", 1, owner))
    left = {number for number, row in enumerate(added) if row[2] not in dropped}
    assert len(backlog) == len(left)
    found = []
    for workflow in "vw":
        for queue in (backlog.short, backlog.long):
            found += [queue.take(workflow).ticket for _ in range(queue.count_of(workflow))]
    assert sorted(found) == sorted(left)
    assert not backlog


def test_forgetting_an_owner_looks_at_no_other_request_s_work() -> None:
    """Work that is looked at has its owner asked for; a thousand others are not."""
    backlog, asked = Backlog(), []

    class Owner(Address):
        def __eq__(self, other: object) -> bool:
            asked.append(self)
            return super().__eq__(other)

        __hash__ = Address.__hash__

    for number in range(1000):
        one = item(number, request=f"r{number}")
        one.owner = Owner("local", 1, number)
        backlog.short.add(one)
    backlog.drop(RequestKey("w", "r500"), Address("local", 1, 500))
    assert len(asked) == 1
    assert len(backlog) == 999


def test_own_work_is_counted_without_that_of_other_nodes() -> None:
    backlog = Backlog()
    ours, theirs = Address("local", 1, 1), Address("local", 1, "b/1/1")
    for number, owner in enumerate((ours, theirs, theirs)):
        one = item(number)
        one.owner = owner
        backlog.add(one)
    assert (backlog.count, backlog.own_count) == (3, 1)
    backlog.drop(one.key, theirs)
    assert (backlog.count, backlog.own_count) == (1, 1)
    backlog.short.take(one.key.workflow)
    assert (backlog.count, backlog.own_count) == (0, 0)


@given(owners=st.lists(st.tuples(st.sampled_from("vw"), st.sampled_from("rs"), st.booleans())))
def test_what_is_taken_of_a_kind_leaves_all_else(owners: list[tuple[str, str, bool]]) -> None:
    backlog = Backlog()
    for number, (workflow, request, is_long) in enumerate(owners):
        queue = backlog.long if is_long else backlog.short
        queue.add(item(number, workflow, request, owner=number % 2))
    odd = backlog.take_if(lambda one: one.ticket % 2 == 1)
    assert sorted(one.ticket for one in odd) == list(range(1, len(owners), 2))
    assert len(backlog) == len(owners) - len(odd)
    assert sorted(one.ticket for one in backlog.take_if(lambda _: True)) == list(
        range(0, len(owners), 2)
    )
    assert list(backlog.short.workflows(9)) == list(backlog.long.workflows(9)) == []
