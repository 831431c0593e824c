from __future__ import annotations

import asyncio
import os
from pathlib import Path, PurePath

import pytest

from jobx.tools.shared import watching


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("workflow.yaml", "handlers/a.py", "notes.txt", "jobx-data/store.db"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    for name in (".hidden", "handlers/__pycache__/a.pyc", "handlers/.a.py.swp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    return tmp_path


def test_look_tells_the_files_of_a_workflow_from_others(folder: Path) -> None:
    found = watching.look(folder, folder / "jobx-data")
    assert {Path(path).name for path in found} == {"workflow.yaml", "a.py", "notes.txt"}
    code = watching.code(found, folder, ())
    assert {Path(path).name for path in code} == {"workflow.yaml", "a.py"}


def test_file_that_a_workflow_names_is_of_the_workflow(folder: Path) -> None:
    found = watching.look(folder, folder / "jobx-data")
    assert watching.code(found, folder, {PurePath("notes.txt")}) == found


def test_handlers_are_looked_at_before_very_many_other_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "z"):
        (folder / name).mkdir()
        (folder / name / "x.txt").write_text("x")
    monkeypatch.setattr(watching, "MAX_FILES", 3)
    found = watching.look(folder, folder / "jobx-data")
    assert {Path(path).name for path in found} == {"workflow.yaml", "notes.txt", "a.py"}


def test_file_looks_otherwise_when_it_is_replaced_by_an_equal_one(folder: Path) -> None:
    before = watching.look(folder, folder)
    (folder / "new").write_text("x")
    os.replace(folder / "new", folder / "handlers" / "a.py")
    assert watching.look(folder, folder) != before


def test_link_that_leads_nowhere_is_passed_over(folder: Path) -> None:
    before = watching.look(folder, folder)
    (folder / "gone").symlink_to(folder / "nowhere")
    assert watching.look(folder, folder) == before


@pytest.mark.parametrize(
    ("looks", "expected"),
    [([1, 1, 2, 2], 2), ([2, 3, 3], 3), ([2, 1, 1, 3, 4, 4], 4)],
    ids=["once", "in parts", "back and then otherwise"],
)
def test_change_is_told_once_it_stays(
    looks: list[int], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "POLL_S", 0)
    left = iter(looks)
    assert asyncio.run(watching.changed(lambda: next(left), 1)) == expected
    assert list(left) == []
