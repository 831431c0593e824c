from __future__ import annotations

import pytest

from jobx.kv.entities.entities import Entities
from jobx.kv.memory import MemoryStore
from tests.unit.kv.entities.flow import FLOW, HANDLERS, JOB, STEP


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def entities(store: MemoryStore) -> Entities:
    made = Entities(store)
    for entity in (FLOW, *HANDLERS, STEP, JOB):
        made.create(entity)
    return made
