"""A ``jobx run`` that is killed with its node: its request waits, is ended, or is gone on with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jobx.kv import keys
from jobx.kv.folder_lock import FolderLock
from jobx.kv.requests import event_log
from jobx.kv.sqlite.store import SqliteStore
from jobx.tools.cli import main
from tests.support.authoring import ANSWER, GATED, WORKFLOW, define
from tests.support.processes import alive, descendants
from tests.support.served import kill, served
from tests.support.waiting import eventually


def _jobx(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--data", str(folder)])


@pytest.fixture
def lost(tmp_path: Path) -> tuple[Path, str]:
    """A folder, and a request in it whose ``jobx run`` was killed."""
    folder = tmp_path / "d"
    define(
        folder, {"slow": GATED, "answer": ANSWER}, {"s": ("slow", "sum"), "a": ("answer", "sum")}
    )
    # A blocking request is durable with its result, or as soon as something lasts.
    command = [sys.executable, "-P", "-m", "jobx.tools.cli", "run", "w/s"]
    command += ["-a", f"gate={_gate(folder)}"]
    with subprocess.Popen([*command, "--data", str(folder)], stderr=subprocess.DEVNULL) as process:
        found = eventually(lambda: _running(folder))
        below = descendants(process.pid)
        kill(process.pid)
    eventually(lambda: not any(map(alive, below)))
    return folder, found


def _gate(folder: Path) -> Path:
    return folder.with_name("gate")


def _running(folder: Path) -> str | None:
    page = json.loads(_jobx(folder, "request", "list", WORKFLOW, "--json").stdout)
    return next((str(request["request_id"]) for request in page["requests"]), None)


def test_it_is_said_that_no_node_works_on_it(lost: tuple[Path, str]) -> None:
    folder, request_id = lost
    assert (
        "running (waits for a node)" in _jobx(folder, "request", "get", WORKFLOW, request_id).stdout
    )
    assert "waits for a node" in _jobx(folder, "request", "list", WORKFLOW).stdout


def test_it_is_cancelled_without_a_node(lost: tuple[Path, str]) -> None:
    folder, request_id = lost
    for _ in range(2):  # one that has ended stays as it is
        result = _jobx(folder, "request", "cancel", WORKFLOW, request_id)
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.endswith("is cancelled\n")
    store = SqliteStore(folder / "jobx.sqlite")
    events = [record["event"] for _, record in event_log.read(store, WORKFLOW, request_id)]
    left = store.range(keys.OPEN)
    store.close()
    assert (events, left) == (["accepted", "cancelled", "finished"], [])
    command = [sys.executable, "-P", "-m", "jobx.tools.cli", "run", "w/a"]
    subprocess.run([*command, "--data", str(folder)], timeout=60, check=True, capture_output=True)
    assert "cancelled" in _jobx(folder, "request", "trace", WORKFLOW, request_id).stdout


def test_it_is_not_cancelled_behind_the_back_of_a_node_that_starts(lost: tuple[Path, str]) -> None:
    folder, request_id = lost
    lock = FolderLock(folder)
    lock.acquire()
    try:
        result = _jobx(folder, "request", "cancel", WORKFLOW, request_id)
    finally:
        lock.release()
    assert result.exit_code == 4
    expected = f"jobx: data folder {folder} is used by process {os.getpid()} (node)\n"
    assert result.stderr == expected


def test_the_next_node_goes_on_with_it(lost: tuple[Path, str]) -> None:
    folder, request_id = lost
    _gate(folder).touch()
    with served(folder) as serving:
        assert serving.get(request_id, "/result", Prefer="wait=60").pairs == [["n", 1]]
