from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from jobx import model
from jobx.errors import InvalidInput, NotFound
from jobx.handlers.authoring.source import MAX_SOURCE_BYTES
from jobx.handlers.authoring.sync import SyncReport, SyncRow, sync
from jobx.kv.entities.entities import Entities
from jobx.kv.memory import MemoryStore

EXAMPLES = Path(__file__).parents[4] / "examples"


def source(kind: str, comment: str = "") -> str:
    return f'"""A {kind}.\n**\nhandler_type: {kind}\n"""\n{comment}\nyield 1, 2\n'


@pytest.fixture
def entities() -> Entities:
    entities = Entities(MemoryStore())
    entities.create(model.Workflow(workflow_name="demo", description=""))
    return entities


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "split.py").write_text(source("mapper"))
    (tmp_path / "total.py").write_text(source("reducer"))
    return tmp_path


def use_in_step(entities: Entities) -> None:
    entities.create(
        model.Step(
            workflow_name="demo",
            step_name="count",
            description="",
            map_handler_name="text_split",
            reduce_handler_name="total",
        )
    )


def names(entities: Entities) -> list[str]:
    return sorted(found.handler_name for found in entities.list(model.Handler, "demo"))


def actions(report: SyncReport) -> dict[str, str]:
    return {row.handler: row.action for row in report.rows}


def test_sync_adds_every_handler_under_the_name_of_its_path(
    entities: Entities, folder: Path
) -> None:
    report = sync(entities, "demo", folder)
    assert report == SyncReport((SyncRow("text_split", "added"), SyncRow("total", "added")), False)
    assert names(entities) == ["text_split", "total"]


def test_sync_stores_nothing_when_nothing_changed(entities: Entities, folder: Path) -> None:
    sync(entities, "demo", folder)
    state = entities.states()
    assert actions(sync(entities, "demo", folder)) == {
        "text_split": "unchanged",
        "total": "unchanged",
    }
    assert entities.states() == state


def test_sync_stores_handlers_of_the_same_version_when_forced(
    entities: Entities, folder: Path
) -> None:
    sync(entities, "demo", folder)
    stored = entities.get(model.Handler, "demo", "total")
    entities.put(msgspec.structs.replace(stored, description="Edited by hand."))

    sync(entities, "demo", folder)
    assert entities.get(model.Handler, "demo", "total").description == "Edited by hand."
    report = sync(entities, "demo", folder, force=True)
    assert set(actions(report).values()) == {"updated"}
    assert entities.get(model.Handler, "demo", "total") == stored


def test_sync_updates_only_what_changed(entities: Entities, folder: Path) -> None:
    sync(entities, "demo", folder)
    (folder / "total.py").write_text(source("reducer", "# new"))
    report = sync(entities, "demo", folder)
    assert actions(report) == {"text_split": "unchanged", "total": "updated"}
    assert "# new" in entities.get(model.Handler, "demo", "total").source_code


def test_sync_removes_a_handler_without_a_file(entities: Entities, folder: Path) -> None:
    sync(entities, "demo", folder)
    (folder / "total.py").unlink()
    assert actions(sync(entities, "demo", folder))["total"] == "removed"
    assert names(entities) == ["text_split"]


def test_sync_keeps_a_handler_without_a_file_that_a_step_refers_to(
    entities: Entities, folder: Path
) -> None:
    sync(entities, "demo", folder)
    use_in_step(entities)
    (folder / "total.py").unlink()
    (row,) = [row for row in sync(entities, "demo", folder).rows if row.handler == "total"]
    assert row == SyncRow("total", "kept", "has no file, but is used by step count")
    assert names(entities) == ["text_split", "total"]


def test_sync_changes_nothing_when_it_simulates(entities: Entities, folder: Path) -> None:
    sync(entities, "demo", folder)
    (folder / "total.py").unlink()
    (folder / "text" / "split.py").write_text(source("mapper", "# new"))
    (folder / "other.py").write_text(source("mapper"))
    state = entities.states()

    report = sync(entities, "demo", folder, simulate=True)
    assert report.simulated
    assert actions(report) == {"other": "added", "text_split": "updated", "total": "removed"}
    assert entities.states() == state


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"yield 1, 2", "must start with a description"),
        (b'"""x\n**\nhandler_type: maper\n"""', "mapper, combiner or reducer"),
        (source("mapper", "yield (").encode(), ""),
        (b'"""\xff"""', "utf-8"),
        (b"#" * (MAX_SOURCE_BYTES + 1), "must not be larger"),
    ],
)
def test_sync_refuses_a_file_that_gives_no_handler_and_goes_on(
    entities: Entities, folder: Path, content: bytes, reason: str
) -> None:
    (folder / "bad.py").write_bytes(content)
    report = sync(entities, "demo", folder)
    (row,) = [row for row in report.rows if row.handler == "bad"]
    assert report.failed
    assert row.action == "refused"
    assert row.reason.startswith("bad.py: ")
    assert reason in row.reason
    assert names(entities) == ["text_split", "total"]


def test_sync_keeps_what_is_stored_for_a_file_that_is_refused(
    entities: Entities, folder: Path
) -> None:
    sync(entities, "demo", folder)
    (folder / "total.py").write_text("yield (")
    assert actions(sync(entities, "demo", folder))["total"] == "refused"
    assert names(entities) == ["text_split", "total"]


def test_sync_refuses_two_files_that_give_the_same_name_and_names_both(
    entities: Entities, folder: Path
) -> None:
    (folder / "text_split.py").write_text(source("mapper"))
    (row, _) = sync(entities, "demo", folder).rows
    assert (row.handler, row.action) == ("text_split", "refused")
    assert row.reason.startswith("text/split.py and text_split.py: ")


def test_sync_refuses_a_file_whose_path_makes_no_name(entities: Entities, folder: Path) -> None:
    (folder / "Total.py").write_text(source("reducer"))
    assert actions(sync(entities, "demo", folder))["Total.py"] == "refused"


def test_sync_skips_what_is_no_handler_file(entities: Entities, folder: Path) -> None:
    (folder / "_shared.py").write_text("")
    (folder / "README.md").write_text("")
    (folder / "folder.py").symlink_to("nowhere")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "total.py").write_text("")
    (folder / ".hidden.py").write_text("")

    report = sync(entities, "demo", folder)
    assert not report.failed
    assert actions(report) == {
        "README.md": "skipped",
        "_shared.py": "skipped",
        "folder.py": "skipped",
        "text_split": "added",
        "total": "added",
    }


def test_sync_of_an_unknown_workflow_is_not_found(entities: Entities, folder: Path) -> None:
    with pytest.raises(NotFound):
        sync(entities, "nope", folder)


def test_sync_of_a_folder_that_is_not_there_is_refused(entities: Entities, folder: Path) -> None:
    with pytest.raises(InvalidInput, match="nowhere"):
        sync(entities, "demo", folder / "nowhere")


def test_sync_takes_the_word_count_example(entities: Entities) -> None:
    report = sync(entities, "demo", EXAMPLES / "wordcount" / "handlers")
    assert actions(report) == {"count_words": "added", "list_files": "added", "sum_counts": "added"}
