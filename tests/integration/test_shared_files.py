"""FS in real executors, and on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from jobx import meanings, values
from jobx.config_sections import FilesSettings
from jobx.tools.cli import main
from tests.support import frames
from tests.support.executors import Executor, ExecutorHost
from tests.support.file_stores import Stores, stores

__all__ = ["stores"]

WRITES = """
yield Return()
for key, value in arguments:
    FS.mkdir("notes", allow_recreate=True)
    with FS.open(JOIN("notes", key), "w") as file:
        file.write(f"note {value}")
    yield "all", key
"""
READS = """
def handler(key, values):
    for name in values:
        with FS.open(JOIN("notes", name)) as file:
            yield name, file.read()
"""


def node(folder: Path, settings: FilesSettings | None) -> ExecutorHost:
    files = settings and msgspec.to_builtins(settings)
    return ExecutorHost(folder / "tmp", memory_bytes=2 << 30, files=files)


def map_frame(folder: Path, workflow: str = "w", **fields: Any) -> dict[str, Any]:
    request = frames.of_request("r1", workflow)
    return frames.map_(folder, [["one", 1], ["two", 2]], request=request, **fields)


def pairs(answer: dict[str, Any], folder: Path) -> list[values.Pair]:
    segment = answer["segments"][0]
    assert segment[0] == "returned", segment
    return frames.pairs(segment[3], folder)


@pytest.mark.parametrize("kind", ["file", "s3", "sftp"])
def test_what_a_mapper_writes_its_reducer_reads(kind: str, stores: Stores, tmp_path: Path) -> None:
    with node(tmp_path, stores.settings(kind)) as started:
        executor = started.spawn()
        executor.frames.send(frames.load("m", "mapper", WRITES))
        executor.frames.send(frames.load("r", "reducer", READS))
        answer = executor.ask(map_frame(tmp_path))
        assert not executor.leaves(), "threads of the back end are taken for an author's"
    assert pairs(answer, tmp_path) == [("one", "note 1"), ("two", "note 2")]


def test_one_executor_keeps_workflows_apart(stores: Stores, tmp_path: Path) -> None:
    with node(tmp_path, stores.settings("file")) as started:
        executor = started.spawn()
        executor.frames.send(frames.load("m", "mapper", WRITES))
        executor.frames.send(frames.load("ls", "reducer", "yield 'seen', [n for n, _ in FS.ls()]"))
        for workflow in ("first", "second"):
            executor.ask(map_frame(tmp_path, workflow, reducer="ls"))
    root = stores.root("file") / "working"
    for workflow in ("first", "second"):
        assert (root / workflow / "notes" / "two").read_text() == "note 2"


def test_without_shared_files_fs_is_none(tmp_path: Path) -> None:
    with node(tmp_path, None) as started:
        executor = started.spawn()
        executor.frames.send(frames.load("m", "mapper", "yield Return()\nyield 'fs', FS"))
        answer = executor.ask(map_frame(tmp_path, reducer=None))
    assert pairs(answer, tmp_path) == [("fs", None)]


def test_a_refused_path_fails_its_invocation_and_says_why(stores: Stores, tmp_path: Path) -> None:
    with node(tmp_path, stores.settings("file")) as started:
        failure = fail(started.spawn(), tmp_path, "FS.rm('../other/file')")
    assert (failure["type"], failure["kind"]) == ("PathRefused", "author")
    assert "../other/file" in failure["message"]


def test_a_secret_is_in_no_command_line_environment_or_failure(tmp_path: Path) -> None:
    cap = "URI:DIR2:" + "a" * 26 + ":" + "b" * 52
    settings = FilesSettings(tahoe_dir_uri=cap, tahoe_webapi_url_prefix="http://127.0.0.1:9")
    with node(tmp_path, settings) as started:
        executor = started.spawn()
        failure = fail(executor, tmp_path, "FS.ls()")
        seen = [
            Path(f"/proc/{pid}/{name}").read_text()
            for pid in (executor.pid, started.process.pid)
            for name in ("cmdline", "environ")
        ]
    assert failure["type"] == "ConnectionRefusedError"
    assert not [text for text in (*seen, str(failure)) if "aaaaaaaa" in text]


def fail(executor: Executor, folder: Path, line: str) -> dict[str, Any]:
    """Return the failure of a mapper that runs one line."""
    executor.frames.send(frames.load("m", "mapper", f"yield Return()\n{line}\n"))
    segment = executor.ask(map_frame(folder, reducer=None))["segments"][0]
    assert segment[0] == "failed", segment
    found: dict[str, Any] = segment[2]
    return found


Jobx = Callable[..., Result]


@pytest.fixture
def jobx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jobx:
    """Run a command on a data folder with a workflow ``w`` and shared files."""
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setenv("JOBX_NODE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("JOBX_FILES_URL", shared.as_uri())
    monkeypatch.delenv("JOBX_CONFIG", raising=False)

    def invoke(*words: str, stdin: bytes = b"") -> Result:
        return CliRunner().invoke(main, words, input=stdin)

    assert invoke("workflow", "create", "w", "d").exit_code == meanings.OK
    return invoke


def test_a_file_is_put_listed_got_and_removed(jobx: Jobx, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"\0content")
    assert jobx("fs", "put", "w", str(source), "a").stdout == "stored file w/a\n"
    (listed,) = json.loads(jobx("fs", "ls", "w", "--json").stdout)
    assert (listed["name"], listed["type"], listed["size"]) == ("a", "file", 8)
    assert jobx("fs", "get", "w", "a", str(target)).exit_code == meanings.OK
    assert target.read_bytes() == b"\0content"
    assert jobx("fs", "rm", "w", "a").exit_code == meanings.OK
    assert json.loads(jobx("fs", "ls", "w", "--json").stdout) == []


def test_a_file_goes_through_stdin_and_stdout(jobx: Jobx) -> None:
    jobx("fs", "put", "w", "-", "a", stdin=b"content")
    assert jobx("fs", "get", "w", "a").stdout_bytes == b"content"


def test_a_folder_is_removed_only_when_that_is_asked_for(jobx: Jobx, tmp_path: Path) -> None:
    (tmp_path / "shared" / "working" / "w" / "a" / "b").mkdir(parents=True)
    assert jobx("fs", "rm", "w", "a").exit_code == meanings.INVALID
    assert jobx("fs", "rm", "w", "a", "--recursive").exit_code == meanings.OK
    assert json.loads(jobx("fs", "ls", "w", "--json").stdout) == []


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("get", "w", "no"), meanings.NOT_FOUND, "no"),
        (("get", "w", "../no"), meanings.INVALID, "leads out"),
        (("ls", "W!"), meanings.INVALID, "W!"),
        (("put", "nobody", "-", "a"), meanings.NOT_FOUND, "workflow"),
        (("put", "w", "/no/such/file", "a"), meanings.INVALID, "/no/such/file"),
        (("get", "w", ".", "x"), meanings.INVALID, "own folder"),
    ],
)
def test_a_mistake_has_its_exit_code(
    jobx: Jobx, words: tuple[str, ...], code: int, says: str
) -> None:
    result = jobx("fs", *words)
    assert (result.exit_code, says in result.stderr) == (code, True), result.stderr


def test_a_quota_on_the_command_line_is_a_full_store(
    jobx: Jobx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBX_FILES_QUOTA_BYTES", "3")
    result = jobx("fs", "put", "w", "-", "a", stdin=b"1234")
    assert (result.exit_code, "quota" in result.stderr) == (meanings.STORE, True)


def test_without_shared_files_the_setting_is_named(
    jobx: Jobx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOBX_FILES_URL")
    result = jobx("fs", "ls", "w")
    assert (result.exit_code, "files.url" in result.stderr) == (meanings.INVALID, True)
