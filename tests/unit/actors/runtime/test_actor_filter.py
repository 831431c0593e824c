"""Which actors a filter lets through, where its pages begin, and what is an address."""

from __future__ import annotations

from functools import partial

import pytest
from thespian.actors import ActorAddress, ActorExitRequest

from jobx.actors.runtime.actor import LoopActor
from jobx.actors.runtime.actor_filter import ActorFilter, details_of, found, parents_of
from jobx.actors.runtime.cell import Cell
from jobx.errors import InvalidInput, NotFound
from tests.unit.actors.runtime.stage import Stage

LIFE = ("n1", 7)


class Named(LoopActor):
    """Calls itself what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "plain"
        self.is_busy = False

    def describe(self) -> str:
        return self.name

    def receiveMessage(self, message: object, sender: object) -> None:  # noqa: N802 - Thespian's
        if callable(message):
            message(self)


def cells(stage: Stage, wanted: ActorFilter) -> list[str]:
    return [str(cell.address) for cell in wanted.among(stage.base.cells())]


def cell_of(stage: Stage, address: ActorAddress) -> Cell:
    cell = stage.base.find(address.addressDetails)
    assert cell is not None
    return cell


def test_a_filter_of_nothing_lets_all_actors_through_and_no_endpoint(stage: Stage) -> None:
    first, second = stage.create(), stage.create(Named)
    assert cells(stage, ActorFilter()) == [str(first), str(second)]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (ActorFilter(class_name="Named"), 2),
        (ActorFilter(class_name="Player"), 1),
        (ActorFilter(class_name="Named", name="rare"), 1),
        (ActorFilter(name="rare"), 1),
        (ActorFilter(name="RARE"), 0),
        (ActorFilter(state="busy"), 1),
        (ActorFilter(state="idle", class_name="Named"), 1),
        (ActorFilter(state="queued"), 0),
    ],
)
def test_all_parts_of_a_filter_must_fit(stage: Stage, wanted: ActorFilter, names: int) -> None:
    stage.create()
    stage.create(Named)
    rare = stage.create(Named)
    stage.play(rare, lambda actor: setattr(actor, "name", "a rare \x1b[31m one"))
    stage.play(rare, lambda actor: setattr(actor, "is_busy", True))
    assert len(cells(stage, wanted)) == names


def test_below_are_all_descendants(stage: Stage) -> None:
    top, other = stage.create(), stage.create()
    child = stage.child(top)
    grandchild = stage.child(child)
    stage.child(other)
    below = ActorFilter(below=cell_of(stage, top))
    assert cells(stage, below) == [str(child), str(grandchild)]
    assert [str(one.address) for one in parents_of(cell_of(stage, grandchild))] == [
        str(child),
        str(top),
    ]


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (lambda: 1 / 0, "Named"),
        (lambda: 5, "Named"),
        (lambda: "x" * 100_000, "x" * 200),
        (lambda: "\ud800", "?"),
        (lambda: "</script>\x1b", "</script>\x1b"),
    ],
)
def test_whatever_an_actor_says_of_itself_it_is_listed(
    stage: Stage, told: object, name: str
) -> None:
    address = stage.create(Named)
    for attribute, value in {"describe": told, "is_busy": "yes", "held_bytes": "much"}.items():
        stage.play(address, partial(_set, attribute, value))
    record = cell_of(stage, address).record(0.0)
    assert (record.name, record.state, record.held_bytes) == (name, "idle", None)
    assert cells(stage, ActorFilter(name=name)) == [str(address)]


def _set(attribute: str, value: object, actor: object) -> None:
    setattr(actor, attribute, value)


def test_a_page_begins_behind_the_cursor_even_if_that_actor_is_gone(stage: Stage) -> None:
    addresses = [stage.create() for _ in range(5)]
    wanted = ActorFilter()
    after = wanted.cursor(LIFE, cell_of(stage, addresses[2]))
    stage.play(addresses[2], ActorExitRequest())
    left = stage.base.cells()
    assert [str(cell.address) for cell in left[wanted.start(LIFE, left, after) :]] == [
        str(address) for address in addresses[3:]
    ]


@pytest.mark.parametrize(
    "after", ["", "x", "1", "1-", "-00000000", "1-0000000g", "1-00000000-", "é-00000000"]
)
def test_what_is_no_cursor_is_refused(stage: Stage, after: str) -> None:
    with pytest.raises(InvalidInput, match="after: is no cursor: give `next` of the page before"):
        ActorFilter().start(LIFE, stage.base.cells(), after)


@pytest.mark.parametrize(
    ("life", "wanted"),
    [
        (("n2", 7), ActorFilter()),
        (("n1", 8), ActorFilter()),
        (LIFE, ActorFilter(class_name="Player")),
        (LIFE, ActorFilter(state="idle")),
        (LIFE, ActorFilter(name="x")),
    ],
)
def test_the_cursor_of_another_list_is_refused(
    stage: Stage, life: tuple[str, int], wanted: ActorFilter
) -> None:
    after = ActorFilter().cursor(LIFE, cell_of(stage, stage.create()))
    with pytest.raises(InvalidInput, match="is the cursor of another list"):
        wanted.start(life, stage.base.cells(), after)


@pytest.mark.parametrize(
    ("text", "details"),
    [
        ("n1/7/3", ("n1", 7, 3)),
        ("n1/1796036397274181278/3", ("n1", 1796036397274181278, 3)),
        ("n1/7/n2/9/3", ("n1", 7, "n2/9/3")),
    ],
)
def test_an_address_is_read_as_it_is_shown(text: str, details: object) -> None:
    assert details_of(text) == details


@pytest.mark.parametrize(
    "text", ["", "n1", "n1/7", "n1/7/", "/7/3", "n1/x/3", "n1/-7/3", "n1/\u0667/3"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="address: is no address of an actor"):
        details_of(text)


@pytest.mark.parametrize("text", ["n1/7/3\n", "n1/7/\n", "n1/7/a\rb\u2028c", "n\n1/7/x/y"])
def test_an_address_may_have_any_text_in_it(text: str) -> None:
    node_id, life, rest = details_of(text)
    assert f"{node_id}/{life}/{rest}" == text


def test_what_is_no_address_is_refused_by_the_name_of_what_says_it() -> None:
    with pytest.raises(InvalidInput, match="below: is no address of an actor"):
        details_of("x", "below")


def test_an_endpoint_is_no_actor(stage: Stage) -> None:
    with pytest.raises(NotFound, match="there is no actor named x"):
        found(cell_of(stage, stage.audience), "x")
    with pytest.raises(NotFound, match="there is no actor named x"):
        found(None, "x")
