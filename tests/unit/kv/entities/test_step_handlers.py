from __future__ import annotations

import pytest

from jobx.errors import InvalidInput, NotFound
from jobx.kv.entities.entities import Entities
from jobx.kv.entities.step_handlers import StepHandlers
from jobx.kv.memory import MemoryStore
from jobx.kv.store import Limits
from jobx.model import Step
from tests.unit.kv.entities.flow import FLOW, HANDLERS, STEP, changed, handler, refused


def of_steps(entities: Entities) -> StepHandlers:
    """Return the handlers of the steps of ``flow``."""
    return StepHandlers(entities.store, "flow")


def test_steps_using_finds_a_handler_in_every_place(entities: Entities) -> None:
    entities.create(changed(STEP, step_name="second", combine_handler_name=None))
    for name, steps in (("add", ["first"]), ("total", ["first", "second"]), ("gone", [])):
        assert [step.step_name for step in of_steps(entities).using(name)] == steps


def test_give_changes_what_is_given_only(entities: Entities) -> None:
    entities.create(handler("other", "mapper"))
    after = of_steps(entities).give("first", mapper="other")
    assert after == changed(STEP, map_handler_name="other")
    assert entities.get(Step, "flow", "first") == after
    cleared = of_steps(entities).give("first", combiner="")
    assert cleared == changed(after, combine_handler_name=None)


@pytest.mark.parametrize("fields", [{"mapper": "total"}, {"mapper": "gone"}, {"reducer": ""}])
def test_give_refuses_what_does_not_fit(entities: Entities, fields: dict[str, str]) -> None:
    error = refused(lambda: of_steps(entities).give("first", **fields))
    assert isinstance(error, InvalidInput | NotFound)
    assert entities.get(Step, "flow", "first") == STEP


def test_replace_swaps_a_handler_in_all_its_steps(entities: Entities) -> None:
    entities.create(changed(STEP, step_name="second"))
    entities.create(handler("other", "mapper"))
    entities.create(changed(STEP, step_name="third", map_handler_name="other"))
    before, handlers = entities.states(), of_steps(entities)
    assert handlers.replace("mapper", "split", "other", simulate=True) == ["first", "second"]
    assert entities.states() == before
    handlers.replace("mapper", "split", "other")
    assert handlers.using("split") == []


def test_replace_takes_several_transactions_where_they_are_small() -> None:
    entities = Entities(MemoryStore(limits=Limits(writes=5)))
    for entity in (FLOW, *HANDLERS, handler("other", "mapper")):
        entities.create(entity)
    names, handlers = [f"s{number}" for number in range(10, 40)], of_steps(entities)
    for name in names:
        entities.create(changed(STEP, step_name=name))
    assert handlers.replace("mapper", "split", "other") == names
    assert handlers.using("split") == []
    assert [step.step_name for step in handlers.using("other")] == names


@pytest.mark.parametrize("to_name", ["total", "gone"])
def test_replace_refuses_a_handler_that_does_not_fit(entities: Entities, to_name: str) -> None:
    error = refused(lambda: of_steps(entities).replace("mapper", "split", to_name))
    assert isinstance(error, InvalidInput | NotFound)
