from __future__ import annotations

import pytest

from jobx.errors import NotFound
from jobx.kv.entities import kept_versions
from jobx.kv.entities.entities import Entities
from jobx.kv.memory import MemoryStore
from jobx.model import Workflow
from tests.support import authoring


@pytest.fixture
def entities() -> Entities:
    found = Entities(MemoryStore())
    found.create(Workflow(workflow_name="w", description=""))
    for name in ("h", "other"):
        found.create(authoring.handler(name, "reducer", "x = 0"))
    return found


def kept(entities: Entities, name: str = "h") -> list[str]:
    found = kept_versions.kept_versions(entities.store, "w", name)
    return [handler.source_code for handler in found]


def test_last_written_version_comes_first(entities: Entities) -> None:
    for number in (1, 2, 3):
        entities.put(authoring.handler("h", "reducer", f"x = {number}"))
    assert kept(entities) == ["x = 3", "x = 2", "x = 1", "x = 0"]
    assert kept(entities, "other") == ["x = 0"]


def test_versions_are_bounded_by_their_bytes(entities: Entities) -> None:
    entities.put(authoring.handler("h", "reducer", "x" * (kept_versions.MOST_BYTES + 1)))
    assert len(kept(entities)) <= 1


def test_handler_that_is_not_there_has_none(entities: Entities) -> None:
    with pytest.raises(NotFound):
        kept(entities, "nope")
