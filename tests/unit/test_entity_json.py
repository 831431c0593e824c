from __future__ import annotations

from typing import Any

import msgspec
import pytest

from jobx import entity_json, model
from jobx.errors import InvalidInput
from jobx.kv.entities.references import KINDS

STEP = {
    "workflow_name": "flow",
    "step_name": "count",
    "description": "",
    "map_handler_name": "split",
    "reduce_handler_name": "sum",
}
HANDLER = {
    "workflow_name": "flow",
    "handler_name": "split",
    "description": "",
    "handler_type": "mapper",
    "source_code": "yield MrConfigureToReturn()",
}


@pytest.mark.parametrize(
    ("kind", "fields"), [(model.Step, STEP), (model.Handler, HANDLER)], ids=["step", "handler"]
)
def test_an_entity_comes_back_from_its_json(
    kind: type[msgspec.Struct], fields: dict[str, Any]
) -> None:
    entity = entity_json.convert(kind, "body", fields)
    assert entity_json.decode(kind, "key", entity_json.encode(entity)) == entity


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"step_name": "Not A Name"}, "step_name"),
        ({"step_name": 7}, "step_name"),
        ({"step_name": "count\n"}, "step_name"),
        ({"unknown": 1}, "unknown"),
        ({"description": "x" * 5000}, "description"),
        ({"combine_handler_name": ""}, "combine_handler_name"),
    ],
)
def test_a_wrong_field_is_refused_by_its_name(change: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidInput, match=place):
        entity_json.convert(model.Step, "step", STEP | change)


@pytest.mark.parametrize(
    ("field", "wrong", "reason"),
    [
        ("step_name", "S!", "a name is 1 to 63 of a-z 0-9 _ . -, starts .*"),
        ("combine_handler_name", "", "a name is 1 to 63 .*"),
        ("map_handler_name", "", "a step needs a mapper"),
        ("reduce_handler_name", "", "a step needs a reducer"),
        ("reduce_handler_name", "R!", "a name is 1 to 63 .*"),
    ],
)
def test_a_wrong_name_is_refused_in_words(field: str, wrong: str, reason: str) -> None:
    fields = STEP | {field: wrong}
    said = rf"^step s: {field}: {reason} \(got '{wrong}'\)$"
    with pytest.raises(InvalidInput, match=said):
        entity_json.convert(model.Step, "step s", fields)
    with pytest.raises(InvalidInput, match=said):
        entity_json.decode(model.Step, "step s", msgspec.json.encode(fields))


@pytest.mark.parametrize("field", STEP)
def test_a_missing_field_is_refused_by_its_name(field: str) -> None:
    fields = {name: value for name, value in STEP.items() if name != field}
    with pytest.raises(InvalidInput, match=field):
        entity_json.convert(model.Step, "step", fields)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("attempts", 0),
        ("attempts", 101),
        ("attempts", 1 << 70_000),
        ("backoff_s", -1.0),
        ("backoff_s", float("inf")),
        ("max_backoff_s", model.MAX_SECONDS + 1),
        ("on", "ValueError"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_retry_policy_out_of_bounds_is_refused(field: str, wrong: object) -> None:
    with pytest.raises(InvalidInput, match=field):
        entity_json.convert(model.Retry, "retry", {field: wrong})


@pytest.mark.parametrize("time_limit_s", [0, -1, float("inf"), model.MAX_SECONDS + 1])
def test_a_time_limit_out_of_bounds_is_refused(time_limit_s: float) -> None:
    with pytest.raises(InvalidInput, match="time_limit_s"):
        entity_json.convert(model.Handler, "handler", HANDLER | {"time_limit_s": time_limit_s})


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"workflow_name": 1}'])
def test_what_is_no_entity_in_json_is_refused_with_its_key(body: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"^entities/step/flow/count: "):
        entity_json.decode(model.Step, "entities/step/flow/count", body)


def test_what_threads_read_was_met_before_there_are_threads() -> None:
    """Two threads in which msgspec meets a struct first, at the same time, crash the process."""
    assert set(entity_json._DECODERS) == {*KINDS, model.Plan, model.Delivery, model.Request}
