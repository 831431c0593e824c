from __future__ import annotations

from typing import Any

import pytest

from jobx.entity_json import decode
from jobx.kv import keys
from jobx.kv.entities.entities import Entities
from jobx.kv.entities.versions import version_of
from jobx.kv.memory import MemoryStore
from jobx.model import Handler, Retry, Workflow
from tests.unit.kv.entities.flow import FLOW, HANDLERS, changed, handler


@pytest.mark.parametrize(
    ("fields", "same"),
    [
        ({"description": "other"}, True),
        ({"handler_name": "other"}, False),
        ({"workflow_name": "other"}, False),
        ({"version": "asked"}, True),
        ({"source_code": "yield 2"}, False),
        ({"source_type": "javascript"}, False),
        ({"handler_type": "reducer"}, False),
        ({"argument_spec": (("a", "int"),)}, False),
        ({"required_capability": "gpu"}, False),
        ({"retry": Retry(attempts=2)}, False),
        ({"time_limit_s": 1.0}, False),
    ],
    ids=str,
)
def test_a_version_is_over_what_a_handler_does_and_its_names(
    fields: dict[str, Any], same: bool
) -> None:
    before = handler("split", "mapper")
    assert (version_of(changed(before, **fields)) == version_of(before)) is same


def test_code_is_kept_by_version_when_its_handler_goes(
    entities: Entities, store: MemoryStore
) -> None:
    entities.create(handler("new", "mapper", source_code="yield 3"))
    version = entities.get(Handler, "flow", "new").version
    entities.delete(Handler, "flow", "new")
    entry = store.get(keys.code("flow", str(version)))
    assert entry is not None
    assert decode(Handler, entry.key, entry.value).source_code == "yield 3"


def test_handlers_state_follows_the_versions_of_all_handlers(entities: Entities) -> None:
    def state() -> str | None:
        return entities.get(Workflow, "flow").handlers_state

    before = state()
    entities.put(changed(HANDLERS[1], source_code="yield 2"))
    assert state() != before
    entities.put(changed(HANDLERS[1], description="no other version"))
    assert state() == before
    entities.create(handler("new", "mapper"))
    assert state() != before
    entities.delete(Handler, "flow", "new")
    entities.put(changed(FLOW, description="new", handlers_state="asked"))
    assert state() == before
