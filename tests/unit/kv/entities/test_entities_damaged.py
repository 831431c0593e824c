"""Entities that are not what was written: they can be replaced and removed, and are named."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jobx.errors import AlreadyExists, EntryDamaged, InUse, NotFound
from jobx.kv import keys
from jobx.kv.entities.entities import MOST_DAMAGED, Entities
from jobx.kv.sqlite.store import SqliteStore
from jobx.kv.store import Put
from jobx.model import Handler, Job, Step, Workflow
from tests.support.authoring import COUNT, WORKFLOW, define, handler

KINDS: list[tuple[type[Any], str | None]] = [
    (Workflow, None),
    (Job, "step"),
    (Step, "step"),
    (Handler, "map"),
]


class Bench:
    """A store with one workflow, whose entries can be damaged while it is open."""

    def __init__(self, folder: Path) -> None:
        define(folder, {"map": COUNT}, {"step": ("map", "sum")})
        self._path = folder / "jobx.sqlite"
        self.store = SqliteStore(self._path)
        self.entities = Entities(self.store)

    def damage(self, key: str) -> None:
        """Let the checksum of an entry be wrong."""
        with closing(sqlite3.connect(self._path)) as other:
            done = other.execute("UPDATE kv SET checksum = checksum + 1 WHERE key = ?", (key,))
            assert done.rowcount == 1
            other.commit()

    def damage_entity(self, kind: type[Any], name: str | None) -> Any:
        """Damage an entity and return what it was."""
        was = self.entities.get(kind, WORKFLOW, name)
        self.damage(_key(kind, name))
        with pytest.raises(EntryDamaged):
            self.entities.get(kind, WORKFLOW, name)
        return was


def _key(kind: type[Any], name: str | None) -> str:
    if name is None:
        return keys.workflow(WORKFLOW)
    return keys.entity(kind.__name__.lower(), WORKFLOW, name)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.store.close()


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_a_damaged_entity_can_be_replaced_and_is_named(
    bench: Bench, kind: type[Any], name: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    was = bench.damage_entity(kind, name)
    assert bench.entities.put(was) == was
    assert bench.entities.get(kind, WORKFLOW, name) == was
    assert _key(kind, name) in caplog.text
    bench.entities.snapshot(WORKFLOW)


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_a_damaged_entity_is_not_created_again(
    bench: Bench, kind: type[Any], name: str | None
) -> None:
    was = bench.damage_entity(kind, name)
    with pytest.raises(AlreadyExists):
        bench.entities.create(was)


@pytest.mark.parametrize(("kind", "name"), KINDS[1:])
def test_a_damaged_entity_can_be_removed_by_force(bench: Bench, kind: type[Any], name: str) -> None:
    bench.damage_entity(kind, name)
    broken = bench.entities.delete(kind, WORKFLOW, name, force=True)
    assert broken == {Job: [], Step: ["job step"], Handler: ["step step"]}[kind]
    with pytest.raises(NotFound):
        bench.entities.get(kind, WORKFLOW, name)


@pytest.mark.parametrize(("kind", "name"), [(Workflow, None), (Step, "step"), (Handler, "map")])
def test_what_refers_to_a_damaged_entity_is_in_its_way(
    bench: Bench, kind: type[Any], name: str | None
) -> None:
    bench.damage_entity(kind, name)
    with pytest.raises(InUse):
        bench.entities.delete(kind, WORKFLOW, name)


def test_a_damaged_workflow_can_be_removed_with_all_in_it(bench: Bench) -> None:
    bench.damage_entity(Workflow, None)
    bench.entities.delete(Workflow, WORKFLOW, force=True)
    assert bench.store.range("entities/") == []


def test_a_handler_can_be_replaced_beside_damaged_ones(bench: Bench) -> None:
    bench.damage_entity(Handler, "sum")
    bench.damage_entity(Step, "step")
    new = bench.entities.put(handler("map", "mapper", COUNT + "\n"))
    assert bench.entities.get(Handler, WORKFLOW, "map") == new


def test_the_state_of_handlers_is_right_after_all_are_mended(bench: Bench) -> None:
    state = bench.entities.get(Workflow, WORKFLOW).handlers_state
    flow, one = (bench.damage_entity(*kind) for kind in (KINDS[0], KINDS[3]))
    bench.entities.put(flow)
    bench.entities.put(one)
    assert bench.entities.get(Workflow, WORKFLOW).handlers_state == state


def test_damaged_code_is_written_again_with_the_handler_that_it_is_of(bench: Bench) -> None:
    one = bench.entities.get(Handler, WORKFLOW, "map")
    code = keys.code(WORKFLOW, one.version or "")
    bench.damage(code)
    bench.entities.put(one)
    assert bench.store.get(code) is not None


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_a_list_names_what_is_damaged_and_has_the_rest(
    bench: Bench, kind: type[Any], name: str | None
) -> None:
    bench.entities.create(Workflow(workflow_name="other", description=""))
    workflow = WORKFLOW if name else None
    there = bench.entities.list(kind, workflow)
    was = bench.damage_entity(kind, name)
    damaged: list[EntryDamaged] = []
    assert bench.entities.list(kind, workflow, damaged) == [one for one in there if one != was]
    assert [error.args[0] for error in damaged] == [_key(kind, name)]


FOREIGN = [b"", b"hello", b"{}", b"null", b"[]", b'{"name": 5}', b"\xff\xfe"]


@pytest.mark.parametrize("name", ["Not A Name", "a/b", "", "zz"])
@pytest.mark.parametrize("value", FOREIGN)
def test_a_foreign_entry_is_named_and_hides_no_entity(
    bench: Bench, name: str, value: bytes
) -> None:
    key = f"{keys.entities('workflow')}{name}"
    bench.store.commit([Put(key, value)])
    damaged: list[EntryDamaged] = []
    found, _ = bench.entities.page(Workflow, damaged=damaged)
    assert [one.workflow_name for one in found] == [WORKFLOW]
    assert [error.args[0] for error in damaged] == [key]


def test_a_page_names_a_bounded_number_of_foreign_entries(bench: Bench) -> None:
    prefix = keys.entities("workflow")
    bench.store.commit([Put(f"{prefix}zz{n}", b"") for n in range(MOST_DAMAGED + 5)])
    damaged: list[EntryDamaged] = []
    bench.entities.page(Workflow, damaged=damaged)
    assert len(damaged) == MOST_DAMAGED


def test_what_refers_to_a_damaged_entity_has_a_fault(bench: Bench) -> None:
    step = bench.entities.get(Step, WORKFLOW, "step")
    bench.damage_entity(Handler, "map")
    assert keys.entity("handler", WORKFLOW, "map") in (bench.entities.fault(step) or "")
