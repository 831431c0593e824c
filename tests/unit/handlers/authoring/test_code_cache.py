from __future__ import annotations

import msgspec
import pytest

from jobx import entity_json, model
from jobx.errors import EntryDamaged, NotFound
from jobx.handlers.authoring import code_cache
from jobx.handlers.authoring.code_cache import CodeCache
from jobx.kv import keys
from jobx.kv.entities.entities import Entities
from jobx.kv.memory import MemoryStore
from jobx.kv.store import Delete, Put
from jobx.work import LoadHandler

MAPPER = "yield Return()\nyield root, 1\n"
OTHER = "yield Return()\n"


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    Entities(store).create(model.Workflow(workflow_name="w", description=""))
    return store


def put(store: MemoryStore, source_code: str, name: str = "m") -> str:
    """Store a mapper; return its version."""
    mapper = model.Handler(
        workflow_name="w",
        handler_name=name,
        description="",
        handler_type="mapper",
        source_type="python",
        source_code=source_code,
        argument_spec=(("root", "str"),),
    )
    Entities(store).put(mapper)
    return Entities(store).get(model.Handler, "w", name).version or ""


def test_code_is_what_executors_load(store: MemoryStore) -> None:
    version = put(store, MAPPER)
    assert CodeCache(store).code("w", version) == LoadHandler(
        version, "m", "w", "mapper", "python", MAPPER, [("root", "str")]
    )


def test_code_of_an_older_version_stays_readable(store: MemoryStore) -> None:
    before = put(store, MAPPER)
    put(store, OTHER)
    assert CodeCache(store).code("w", before).source_code == MAPPER


def test_code_that_is_unknown_is_not_found(store: MemoryStore) -> None:
    with pytest.raises(NotFound, match="handler version"):
        CodeCache(store).code("w", "0" * 64)


def test_code_is_known_once_it_was_read(store: MemoryStore) -> None:
    cache, version = CodeCache(store), put(store, MAPPER)
    assert cache.known_code("w", version) is None
    assert cache.code("w", version) == cache.known_code("w", version)


def test_code_is_kept_up_to_a_size(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_cache, "CODE_CACHE_BYTES", len(MAPPER))
    cache, first, second = CodeCache(store), put(store, MAPPER), put(store, OTHER, "other")
    cache.code("w", first)
    store.commit([Delete(keys.code("w", first))])
    assert cache.code("w", first).source_code == MAPPER

    cache.code("w", second)
    with pytest.raises(NotFound):
        cache.code("w", first)


def test_code_that_is_not_what_its_version_says_is_not_given_out(store: MemoryStore) -> None:
    version = put(store, MAPPER)
    handler = Entities(store).get(model.Handler, "w", "m")
    altered = msgspec.structs.replace(handler, source_code=OTHER)
    store.commit([Put(keys.code("w", version), entity_json.encode(altered))])
    with pytest.raises(EntryDamaged, match="hash"):
        CodeCache(store).code("w", version)
