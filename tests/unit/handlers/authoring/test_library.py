from __future__ import annotations

import hashlib
import threading

import msgspec
import pytest

from jobx import entity_json, model
from jobx.errors import EntryDamaged, NotFound, TooLarge
from jobx.handlers.authoring.library import Library
from jobx.kv import keys
from jobx.kv.entities.entities import Entities
from jobx.kv.memory import MemoryStore
from jobx.kv.store import Delete, Entry, Limits, Put
from tests.support.counting_store import CountingMemory

MAPPER = "yield MrConfigureToReturn()\nyield from arguments\n"
REDUCER = "def handler(key, values):\n    yield key, sum(values)\n"
WHOLE_REDUCER = "def handler(results):\n    yield from results\n"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def entities(store: MemoryStore) -> Entities:
    entities = Entities(store)
    entities.create(model.Workflow(workflow_name="demo", description=""))
    entities.create(handler("split", "mapper", MAPPER))
    entities.create(handler("total", "reducer", REDUCER))
    entities.create(step("count"))
    entities.create(
        model.Job(workflow_name="demo", job_name="words", description="", initial_step_name="count")
    )
    return entities


@pytest.fixture
def known(store: MemoryStore, entities: Entities) -> Library:
    known = Library(store)
    known.refresh()
    return known


def handler(name: str, kind: model.HandlerType, source: str) -> model.Handler:
    return model.Handler(
        workflow_name="demo",
        handler_name=name,
        description="",
        handler_type=kind,
        source_code=source,
        argument_spec=(("root", "str"),) if kind == "mapper" else (),
    )


def step(name: str, mapper: str = "split", reducer: str = "total") -> model.Step:
    return model.Step(
        workflow_name="demo",
        step_name=name,
        description="",
        map_handler_name=mapper,
        reduce_handler_name=reducer,
    )


def version(entities: Entities, name: str) -> str:
    found = entities.get(model.Handler, "demo", name).version
    assert found is not None
    return found


def test_refresh_says_whether_an_entity_changed(known: Library, entities: Entities) -> None:
    assert known.refresh() is False
    entities.create(step("other"))
    assert known.refresh() is True
    assert known.refresh() is False


def test_refresh_reads_only_the_workflow_that_changed() -> None:
    store = CountingMemory()
    entities, known = Entities(store), Library(store)

    def change(name: str) -> int:
        """Return how many reads a change costs."""
        entities.put(model.Workflow(workflow_name=name, description=f"{store.writes}"))
        store.reads = 0
        assert known.refresh()
        return store.reads

    first = change("w0")
    second = change("w1")
    assert second - first == 2  # the name of the other one in a list, and its state


def test_job_is_answered_as_of_the_last_refresh(known: Library, entities: Entities) -> None:
    assert known.job("demo", "words").initial_step_name == "count"
    entities.delete(model.Job, "demo", "words")
    assert known.job("demo", "words").initial_step_name == "count"
    known.refresh()
    with pytest.raises(NotFound):
        known.job("demo", "words")


@pytest.mark.parametrize(
    ("workflow", "job", "sentence"),
    [
        ("nope", "words", "there is no workflow named nope"),
        ("demo", "nope", "there is no job named demo/nope"),
    ],
)
def test_job_that_is_unknown_is_named(
    known: Library, workflow: str, job: str, sentence: str
) -> None:
    with pytest.raises(NotFound) as caught:
        known.job(workflow, job)
    assert str(caught.value) == sentence


def test_refresh_is_not_undone_by_one_that_began_before_the_change(
    store: MemoryStore, entities: Entities, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def get_slowly(key: str) -> Entry | None:
        if key.startswith(keys.plan("demo", "")) and not reached.is_set():
            reached.set()
            go_on.wait(60)
        return MemoryStore.get(store, key)

    monkeypatch.setattr(store, "get", get_slowly)
    known = Library(store)
    before, after = (threading.Thread(target=known.refresh) for _ in range(2))
    before.start()
    assert reached.wait(60)
    entities.put(handler("split", "mapper", MAPPER + "pass\n"))
    after.start()
    after.join(0.1)
    go_on.set()
    before.join(60)
    after.join(60)

    assert known.plan("demo")[1].steps["count"].mapper.version == version(entities, "split")


def test_versions_are_the_same_object_until_a_workflow_changes(
    known: Library, entities: Entities
) -> None:
    before = known.versions()
    known.refresh()
    assert known.versions() is before
    _write_workflow(entities.store, "another")
    known.refresh()
    assert known.versions().keys() - before.keys() == {("another", "m"), ("another", "r")}


def test_plan_pins_the_versions_of_all_handlers(known: Library, entities: Entities) -> None:
    _, plan, _ = known.plan("demo")

    pinned = plan.steps["count"]
    assert pinned.mapper == model.HandlerRef(
        handler_name="split", version=version(entities, "split")
    )
    assert pinned.combiner is None
    assert pinned.reducer == model.HandlerRef(
        handler_name="total", version=version(entities, "total"), per_key=True
    )


def test_plan_of_an_unknown_workflow_is_not_found(known: Library) -> None:
    with pytest.raises(NotFound, match="no workflow named nope"):
        known.plan("nope")


def test_plan_that_is_too_large_for_the_store_is_refused_by_name(
    known: Library, store: MemoryStore
) -> None:
    store.limits = Limits(size_bytes=100)
    with pytest.raises(TooLarge, match="the plan of workflow demo"):
        known.plan("demo")


def test_plan_tells_a_reducer_that_takes_all_results_from_one_that_is_called_once_a_key(
    known: Library, entities: Entities
) -> None:
    entities.put(handler("total", "reducer", WHOLE_REDUCER))
    known.refresh()
    assert known.plan("demo")[1].steps["count"].reducer.per_key is False


def test_plan_digest_is_that_of_its_content(known: Library) -> None:
    digest, plan, writes = known.plan("demo")
    assert digest == hashlib.sha256(entity_json.encode(plan)).hexdigest()
    assert writes == [Put(keys.plan("demo", digest), entity_json.encode(plan))]


def test_plan_digest_does_not_depend_on_the_order_of_creation(
    known: Library, entities: Entities
) -> None:
    entities.create(step("a"))
    entities.create(step("b"))
    known.refresh()
    before = known.plan("demo")[0]
    entities.delete(model.Step, "demo", "a")
    entities.create(step("a"))
    known.refresh()
    assert known.plan("demo")[0] == before


def test_plan_gives_its_writes_until_it_is_seen_in_the_store(
    known: Library, store: MemoryStore
) -> None:
    writes = known.plan("demo")[2]
    known.refresh()
    assert known.plan("demo")[2] == writes

    store.commit(writes)
    known.refresh()
    assert known.plan("demo")[2] == []


def test_plan_gives_no_writes_when_an_earlier_library_stored_it(
    known: Library, store: MemoryStore
) -> None:
    store.commit(known.plan("demo")[2])
    later = Library(store)
    later.refresh()
    assert later.plan("demo")[2] == []


def test_plan_leaves_out_only_the_step_whose_handler_cannot_be_loaded(
    known: Library, store: MemoryStore, entities: Entities
) -> None:
    entities.create(handler("other", "reducer", REDUCER))
    entities.create(step("broken", reducer="other"))
    key = keys.entity("handler", "demo", "other")
    entry = store.get(key)
    assert entry is not None
    other = msgspec.json.decode(entry.value) | {"source_code": "yield (", "version": "0" * 64}
    store.commit([Put(key, msgspec.json.encode(other))])
    entities.create(step("new"))

    known.refresh()
    assert sorted(known.plan("demo")[1].steps) == ["count", "new"]


def test_plan_leaves_out_a_step_whose_handler_is_missing(
    known: Library, store: MemoryStore, entities: Entities
) -> None:
    entities.create(handler("other", "reducer", REDUCER))
    entities.create(step("broken", reducer="other"))
    store.commit([Delete(keys.entity("handler", "demo", "other"))])
    known.refresh()
    assert sorted(known.plan("demo")[1].steps) == ["count"]
    assert "demo/broken: there is no reducer named other" in str(known.unplanned("demo", "broken"))
    assert str(known.unplanned("demo", "nope")) == "there is no step named demo/nope"


def test_workflow_that_cannot_be_read_stays_as_it_was_known(
    known: Library, store: MemoryStore, entities: Entities
) -> None:
    entities.create(model.Workflow(workflow_name="second", description=""))
    store.commit([Put(keys.entity("job", "demo", "words"), b"not JSON")])
    assert known.refresh() is True
    assert known.job("demo", "words").initial_step_name == "count"
    assert known.plan("second")[1].steps == {}


@pytest.mark.parametrize(
    ("kind", "name"), [("workflow", None), ("job", "j"), ("step", "s"), ("handler", "m")]
)
def test_an_entity_that_cannot_be_read_answers_so_and_is_in_no_way_of_others(
    kind: str, name: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    for workflow in ("good", "spoiled"):
        _write_workflow(store, workflow)
    key = keys.workflow("spoiled") if name is None else keys.entity(kind, "spoiled", name)
    store.commit([Put(key, b"{}")])
    library = Library(store)

    library.refresh()

    with pytest.raises(EntryDamaged, match=key):
        _what_runs(library, "spoiled")
    assert _what_runs(library, "good") == ["s"]
    assert f"{kind} spoiled" in caplog.text
    assert key in caplog.text


def _what_runs(library: Library, workflow: str) -> list[str]:
    """Return the steps of a workflow that its job ``j`` may run."""
    job = library.job(workflow, "j")
    _, plan, _ = library.plan(workflow)
    if job.initial_step_name not in plan.steps:
        raise library.unplanned(workflow, job.initial_step_name)
    return list(plan.steps)


def _write_workflow(store: MemoryStore, workflow: str) -> None:
    entities = Entities(store)
    entities.create(model.Workflow(workflow_name=workflow, description=""))
    for handler, kind in (("m", "mapper"), ("r", "reducer")):
        source = "yield Return()\nyield 1, 1" if kind == "mapper" else "yield 1, 1"
        entities.create(
            model.Handler(
                workflow_name=workflow,
                handler_name=handler,
                description="",
                source_type="python",
                handler_type=kind,  # type: ignore[arg-type]  # one of the literals
                source_code=source,
            )
        )
    entities.create(
        model.Step(
            workflow_name=workflow,
            step_name="s",
            description="",
            map_handler_name="m",
            reduce_handler_name="r",
        )
    )
    entities.create(
        model.Job(workflow_name=workflow, job_name="j", description="", initial_step_name="s")
    )
