"""The views of actors, from what the runtime knows."""

from __future__ import annotations

from typing import Any

from jobx.actors.inspection.actor_views import actor_trees
from jobx.actors.runtime.cell import ActorRecord


def record(number: int, parent: int | None, children: int = 0) -> ActorRecord:
    return ActorRecord(
        address=f"n/{number}",
        parent=None if parent is None else f"n/{parent}",
        name=f"a{number}",
        state="idle",
        mailbox=0,
        age_s=1.0,
        children=children,
    )


def test_actors_are_shown_below_their_parents_with_the_number_of_those_left_out() -> None:
    """Of one root with four children and a grandchild, only four are described."""
    (root,) = actor_trees([record(1, None, 4), record(2, 1), record(3, 1, 1), record(4, 3)])
    assert [child.name for child in root.children] == ["a2", "a3"]
    assert root.hidden == 2
    assert [(child.name, child.hidden) for child in root.children[1].children] == [("a4", 0)]
    assert root.children[1].hidden == 0


def test_nesting_looks_at_each_actor_a_few_times_however_many_there_are() -> None:
    looks = 0

    class Watched:
        """A record whose readers are counted."""

        def __init__(self, of: ActorRecord) -> None:
            self._of = of

        def __getattr__(self, name: str) -> object:
            nonlocal looks
            looks += 1
            return getattr(self._of, name)

    flat = [record(n, 0) for n in range(1, 500)]
    deep = [record(n, n - 1) for n in range(500, 1000)]
    records: list[Any] = [Watched(one) for one in (record(0, None), *flat, *deep)]
    assert len(actor_trees(records)) == 1
    assert looks < 20 * len(records)
