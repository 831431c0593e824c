from __future__ import annotations

import pytest

from jobx.actors.request.capabilities import (
    HERE,
    Foreign,
    foreign,
    missing_capability,
    missing_everywhere,
)
from jobx.model import HandlerRef, Plan, PlanStep


def _ref(name: str, **fields: str) -> HandlerRef:
    return HandlerRef(handler_name=name, version=name, **fields)  # type: ignore[arg-type]  # fields of any handler


@pytest.mark.parametrize(
    ("part", "missing"), [("mapper", "gpu"), ("combiner", "gpu"), ("reducer", "gpu"), (None, None)]
)
def test_a_step_requires_what_any_of_its_handlers_requires(
    part: str | None, missing: str | None
) -> None:
    fields = {"mapper": _ref("m"), "combiner": None, "reducer": _ref("r")}
    if part is not None:
        fields[part] = _ref("h", required_capability="gpu")
    assert missing_capability(PlanStep(**fields), frozenset({"general"})) == missing  # type: ignore[arg-type]  # fields of any step
    assert missing_capability(PlanStep(**fields), frozenset({"general", "gpu"})) is None  # type: ignore[arg-type]  # fields of any step


@pytest.mark.parametrize(
    ("nodes", "missing"),
    [
        ([], "gpu"),
        ([{"gpu", "jre", "x"}], None),
        ([{"x"}, {"gpu", "jre"}], None),
        ([{"gpu"}, {"gpu", "x"}], "jre"),
        ([{"gpu"}, {"jre"}], "gpu and jre"),
    ],
)
def test_one_node_must_offer_all_that_a_step_requires(
    nodes: list[set[str]], missing: str | None
) -> None:
    step = PlanStep(
        mapper=_ref("m", required_capability="gpu"), reducer=_ref("r", required_capability="jre")
    )
    assert missing_everywhere(step.required, map(frozenset, nodes)) == missing


@pytest.mark.parametrize(
    ("offered", "found"),
    [
        ({"general", "gpu", "jre"}, Foreign()),
        ({"general", "gpu"}, Foreign({"both": ("gpu", "jre")}, {"both": ("jre",)})),
        ({"general", "jre"}, Foreign({"both": ("gpu", "jre")}, {})),
        (
            set(),
            Foreign(
                {"both": ("gpu", "jre"), "plain": ("general",)},
                {"both": ("jre",), "plain": ("general",)},
            ),
        ),
    ],
)
def test_work_is_foreign_if_a_node_lacks_what_it_requires(
    offered: set[str], found: Foreign
) -> None:
    both = PlanStep(
        mapper=_ref("m", required_capability="gpu"), reducer=_ref("r", required_capability="jre")
    )
    plan = Plan(steps={"both": both, "plain": PlanStep(mapper=_ref("m"), reducer=_ref("r"))})
    assert foreign(plan, offered) == found


def test_kinds_of_work_are_told_once_each() -> None:
    gpu, jre = ("gpu",), ("jre",)
    assert Foreign({"a": gpu, "b": gpu, "c": jre}, {"a": gpu}).kinds == (HERE, gpu, jre)
