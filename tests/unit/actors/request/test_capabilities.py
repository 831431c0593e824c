from __future__ import annotations

import pytest

from jobx.actors.request.capabilities import missing_capability, missing_everywhere
from jobx.model import HandlerRef, PlanStep


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
