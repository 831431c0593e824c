from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from jobx.errors import AlreadyExists, InvalidInput, NotFound, TooLarge
from jobx.handlers.authoring import declaration, folder_writing, source, workflow_folder
from jobx.handlers.authoring.folder_writing import files_of
from jobx.handlers.authoring.workflow_folder import read
from jobx.kv.entities.applying import apply_workflow
from jobx.kv.entities.entities import Entities, WorkflowSnapshot
from jobx.kv.memory import MemoryStore
from jobx.model import Example, Handler, Job, Retry, Step, Workflow

MAPPER = '''"""
Splits.

**
handler_type: mapper
"""


def handler(key, value):
    yield Return()
'''
REDUCER = MAPPER.replace("mapper", "reducer").replace("yield Return()", "yield key, value")
TEXT = """\
workflow: flow
steps:
  first: {mapper: split, reducer: total}
jobs:
  count: {step: first}
"""
FILES: Mapping[str, str] = {
    "workflow.yaml": TEXT,
    "handlers/split.py": MAPPER,
    "handlers/total.py": REDUCER,
}

#: A name that no file can have.
LONG: Final = "x" * 300 + ".py"


def folder_of(tmp_path: Path, **files: str) -> Path:
    """Return a folder with FILES and others."""
    for name, text in {**FILES, **files}.items():
        path = tmp_path / "flow" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "flow"


def faults(folder: Path) -> list[str]:
    return list(map(str, read(folder).faults))


def test_folder_is_a_workflow(tmp_path: Path) -> None:
    found = read(folder_of(tmp_path, **{"handlers/_part.py": "", "handlers/notes.md": ""}))
    assert found.faults == ()
    assert found.checked.handlers["split"].source_code == MAPPER
    assert {str(path) for path in found.skipped} == {"handlers/_part.py", "handlers/notes.md"}
    assert str(found.files["total"]) == "handlers/total.py"


def test_handler_without_a_header_is_declared(tmp_path: Path) -> None:
    bare = "yield MrConfigureToReturn()\n"
    text = f"{TEXT}handlers:\n  split: {{file: old/split.py, handler_type: mapper}}\n"
    files = {"workflow.yaml": text, "old/split.py": bare}
    folder = folder_of(tmp_path, **files)
    (folder / "handlers" / "split.py").unlink()
    handler = read(folder).checked.handlers["split"]
    assert (handler.source_code, handler.source_type) == (bare, "python")


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        (
            {"workflow.yaml": TEXT.replace("step: first", "step: frist")},
            "workflow.yaml, line 5: job count, step: there is no such step; did you mean first?",
        ),
        (
            {"workflow.yaml": TEXT.replace("mapper: split", "mapper: splt")},
            "line 3: step first, mapper: there is no file of such a handler; did you mean split?",
        ),
        (
            {"workflow.yaml": TEXT.replace("mapper: split", "mapper: total")},
            "step first, mapper: handlers/total.py is a reducer, not a mapper (got 'total')",
        ),
        ({"handlers/split.py": "x = 1\n"}, "handlers/split.py: handler split, header: must start"),
        ({"handlers/split.py": MAPPER + "  x\n"}, "handlers/split.py: handler split: "),
        ({"handlers/split.js": "// x"}, "handlers/split.js: handler name: several files give"),
        ({"handlers/Bad.py": MAPPER}, "handlers/Bad.py: handler file Bad.py: a name is 1 to 63"),
        (
            {"workflow.yaml": f"{TEXT}handlers:\n  h: {{file: ../h.py, handler_type: mapper}}\n"},
            "../h.py: file: must be a path below the folder",
        ),
        (
            {"workflow.yaml": f"{TEXT}handlers:\n  h: {{file: /etc/x.py, handler_type: mapper}}\n"},
            "/etc/x.py: file: must be a path below the folder",
        ),
        (
            {"workflow.yaml": f"{TEXT}handlers:\n  h: {{file: h.py, handler_type: mapper}}\n"},
            "h.py: file: is not there, or is no regular file",
        ),
        (
            {"workflow.yaml": f'{TEXT}handlers:\n  h: {{file: "\\0.py", handler_type: mapper}}\n'},
            "file: is not there, or is no regular file",
        ),
        (
            {"workflow.yaml": f"{TEXT}handlers:\n  h: {{file: {LONG}, handler_type: mapper}}\n"},
            "file: is not there, or is no regular file",
        ),
        (
            {
                "workflow.yaml": f"{TEXT}handlers:\n  h: {{file: h.x, handler_type: mapper}}\n",
                "h.x": "x",
            },
            "h.x: language: is needed: files that end in .x may be of any",
        ),
        (
            {
                "workflow.yaml": TEXT + "handlers:\n  split: {file: h.py, handler_type: mapper}\n",
                "h.py": "yield MrConfigureToReturn()\n",
            },
            "handlers/split.py: handler name: h.py is this handler already, by workflow.yaml",
        ),
    ],
)
def test_what_is_wrong_in_a_folder_is_told(
    tmp_path: Path, files: dict[str, str], fault: str
) -> None:
    found = faults(folder_of(tmp_path, **files))
    assert len(found) == 1, found
    assert fault in found[0]


def test_all_wrong_files_are_told_at_once(tmp_path: Path) -> None:
    found = faults(folder_of(tmp_path, **{"handlers/split.py": "", "handlers/total.py": "("}))
    assert [fault.partition(":")[0] for fault in found] == [
        "handlers/split.py",
        "handlers/total.py",
    ]


def test_job_that_a_further_check_refuses_is_told_with_its_line(tmp_path: Path) -> None:
    def refuse(job: Job) -> None:
        raise InvalidInput("writer", "x", "is unknown")

    (fault,) = read(folder_of(tmp_path), check_job=refuse).faults
    assert str(fault) == "workflow.yaml, line 5: job count: writer: is unknown (got x)"


@pytest.mark.parametrize(
    ("name", "reason"), [("more.txt", "no language is known"), ("_/more.py", "starts with '_'")]
)
def test_step_whose_handler_is_skipped_says_why(name: str, reason: str, tmp_path: Path) -> None:
    text = TEXT.replace("split", "more")
    folder = folder_of(tmp_path, **{"workflow.yaml": text, f"handlers/{name}": MAPPER})
    (fault,) = faults(folder)
    assert f"no file of such a handler; handlers/{name} is skipped: {reason}" in fault


def test_folder_without_the_file_says_how_to_start(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="jobx init"):
        read(tmp_path)


def linked_file(folder: Path, outside: Path) -> None:
    (outside / "secret.py").write_text(MAPPER)
    (folder / "handlers" / "more.py").symlink_to(outside / "secret.py")


def linked_folder(folder: Path, outside: Path) -> None:
    (folder / "handlers").rename(outside / "handlers")
    (folder / "handlers").symlink_to(outside / "handlers")


def unreadable_bytes(folder: Path, outside: Path) -> None:
    (folder / "handlers" / "split.py").write_bytes(b"\xff")


def very_large(folder: Path, outside: Path) -> None:
    (folder / "handlers" / "split.py").write_text(MAPPER + "#" * source.MAX_SOURCE_BYTES)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (linked_file, "handlers/more.py: file: is a link that leads out of"),
        (linked_folder, "handlers: file: is a link that leads out of"),
        (unreadable_bytes, "handlers/split.py: file: 'utf-8' codec can't decode"),
        (very_large, "handlers/split.py: handler split, source: must not be larger than"),
    ],
)
def test_hostile_file_is_refused(tmp_path: Path, make: Any, fault: str) -> None:
    folder, outside = folder_of(tmp_path), tmp_path / "outside"
    outside.mkdir()
    make(folder, outside)
    assert fault in faults(folder)[0]


def test_file_itself_may_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    (folder / "workflow.yaml").rename(tmp_path / "other.yaml")
    (folder / "workflow.yaml").symlink_to(tmp_path / "other.yaml")
    with pytest.raises(InvalidInput, match="leads out of"):
        read(folder)


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    os.mkfifo(folder / "handlers" / "pipe.py")
    (folder / "handlers" / "below").symlink_to(folder, target_is_directory=True)
    (folder / "handlers" / "long.py").symlink_to(LONG)
    assert {str(path): reason for path, reason in read(folder).skipped.items()} == {
        "handlers/pipe.py": "is not a regular file",
        "handlers/below": "is a link to a folder",
        "handlers/long.py": "is not a regular file",
    }


def test_very_many_handlers_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow_folder, "MAX_HANDLERS", 1)
    assert "folder: may have at most 1 (got 2 handlers)" in faults(folder_of(tmp_path))[0]


def test_folder_that_has_something_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(AlreadyExists, match="flow"):
        folder_writing.write(folder_of(tmp_path), {"workflow.yaml": b""})


def test_new_folder_is_written_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    folder_writing.write(tmp_path / "new", {"workflow.yaml": b"x", "handlers/a.py": b"y"})
    assert (tmp_path / "new" / "handlers" / "a.py").read_bytes() == b"y"
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


@pytest.mark.parametrize("name", [".", "link", "empty"])
def test_empty_folder_is_filled(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    monkeypatch.chdir(tmp_path / "empty" if name == "." else tmp_path)
    folder_writing.write(Path(name), {"workflow.yaml": b"x", "handlers/a.py": b"y"})
    assert sorted(path.name for path in (tmp_path / "empty").iterdir()) == [
        "handlers",
        "workflow.yaml",
    ]


def test_folder_that_cannot_be_looked_at_is_told() -> None:
    with pytest.raises(InvalidInput, match="File name too long"):
        folder_writing.write(Path("x" * 300), {"workflow.yaml": b""})


def test_workflow_that_is_too_large_for_the_file_is_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(declaration, "MAX_FILE_BYTES", 100)
    workflow = Workflow(workflow_name="w", description="x" * 100)
    with pytest.raises(TooLarge):
        files_of(WorkflowSnapshot(workflow, {}, {}, {}))


NAMES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,8}(\.[a-z]{1,3})?", fullmatch=True)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.text(
    "\n\r\t :#-'\"|\u2028\u0085\ufeffa", max_size=8
)
OPTIONS = st.dictionaries(
    WORDS,
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | WORDS | st.lists(WORDS, max_size=2),
    max_size=3,
)
BODIES = st.sampled_from(["", "# é \u2028\r\n"])


def handlers(flow: str, name: str) -> st.SearchStrategy[Handler]:
    """Return mappers: with a header, or with fields that their source does not have."""
    headed = st.text("ab ", max_size=5).map(lambda text: MAPPER.replace("Splits.", f"S{text}"))
    bare = st.builds(
        Handler,
        workflow_name=st.just(flow),
        handler_name=st.just(name),
        description=WORDS,
        handler_type=st.just("mapper"),
        source_code=BODIES.map(lambda text: f"{text}x = 1\nyield x, 1\n"),
        argument_spec=st.sampled_from([(), (("text", "str"),)]),
        retry=st.sampled_from([Retry(), Retry(attempts=3, on=("OSError",))]),
        time_limit_s=st.none() | st.floats(0.1, 100),
        examples=st.sampled_from([(), (Example(arguments={"z": 1.5, "a": [None, "é\n"]}),)]),
    )
    return headed.map(lambda text: source.parse(flow, name, "python", text)) | bare


@st.composite
def workflows(draw: st.DrawFn) -> WorkflowSnapshot:
    """Return a workflow that a store may have."""
    flow = draw(NAMES)
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    total = "total.of.all"
    step = st.builds(
        Step,
        workflow_name=st.just(flow),
        step_name=st.just(""),
        description=WORDS,
        map_handler_name=st.sampled_from(names),
        reduce_handler_name=st.just(total),
    )
    job = st.builds(
        Job,
        workflow_name=st.just(flow),
        job_name=st.just(""),
        description=WORDS,
        initial_step_name=st.sampled_from(names),
        result_writer=st.none() | NAMES,
        result_options=OPTIONS,
        writer_choice=st.booleans(),
    )
    return WorkflowSnapshot(
        Workflow(workflow_name=flow, description=draw(WORDS)),
        {name: msgspec.structs.replace(draw(job), job_name=name) for name in names},
        {name: msgspec.structs.replace(draw(step), step_name=name) for name in names},
        {
            total: source.parse(flow, total, "python", REDUCER),
            **{name: draw(handlers(flow, name)) for name in names},
        },
    )


@settings(max_examples=15, phases=[Phase.explicit, Phase.generate], deadline=None)
@given(wanted=workflows())
def test_export_is_the_workflow_anywhere(
    wanted: WorkflowSnapshot, tmp_path_factory: pytest.TempPathFactory
) -> None:
    here, there = MemoryStore(), MemoryStore()
    apply_workflow(here, wanted)
    name = wanted.workflow.workflow_name
    stored = Entities(here).snapshot(name)
    files = files_of(stored)
    folder = tmp_path_factory.mktemp("export") / "flow"
    folder_writing.write(folder, files)
    found = read(folder)
    assert found.faults == ()
    assert apply_workflow(here, found.checked) == []
    apply_workflow(there, found.checked)
    assert Entities(there).snapshot(name) == stored
    assert files_of(Entities(there).snapshot(name)) == files
