"""What other users of the machine find of a JobX whose user closes nothing by himself: nothing."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from jobx import meanings
from tests.support.authoring import WORKFLOW
from tests.support.disks import below
from tests.support.served import Served, served

MAPPER = """def handler(arguments):
    yield Return()
    open("left", "w").write("x")
    yield "a", "b" * 200_000
"""
REDUCER = "def handler(key, values):\n    yield key, list(values)\n"
ENTITIES = {
    "": {"description": ""},
    "/handler/m": {"handler_type": "mapper", "source_code": MAPPER},
    "/handler/r": {"handler_type": "reducer", "source_code": REDUCER},
    "/step/s": {"map_handler_name": "m", "reduce_handler_name": "r"},
    "/job/j": {"initial_step_name": "s"},
}


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def create(one: Served) -> None:
    for path, fields in ENTITIES.items():
        body = {"description": "", **fields}
        if "handler" in path:
            body |= {"source_type": "python", "argument_spec": []}
        answer = one.ask("PUT", f"/workflow/{WORKFLOW}{path}", body, 60, {})
        assert answer.status in (200, 201), answer


def for_others(folder: Path) -> list[str]:
    found = []
    for path in (folder, *below(folder)):
        with suppress(FileNotFoundError):  # it was there for a moment
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode) and mode & 0o077:
                found.append(f"{stat.S_IMODE(mode):o} {path.name}")
    return found


@pytest.mark.usefixtures("open_umask")
def test_nothing_that_serve_makes_is_for_others(tmp_path: Path) -> None:
    data, log = tmp_path / "d", tmp_path / "log" / "jobx.log"
    log.parent.mkdir(mode=0o700)
    with served(data, JOBX_NODE_LOG_PATH=str(log), JOBX_NODE_LOG_LEVEL="info") as one:
        create(one)
        answer = one.post("j", {"large": "x" * 200_000})
        assert len(answer.pairs) == 1
        found = [*for_others(data), *for_others(log.parent)]
        assert log.stat().st_size > 0
    assert found == []
    assert for_others(data) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be in the way of others")
def test_root_leaves_nothing_in_the_folder_of_another_user(tmp_path: Path) -> None:
    data = tmp_path / "d"
    data.mkdir()
    os.chown(data, 12345, 12345)

    ran = subprocess.run(
        [sys.executable, "-P", "-m", "jobx.tools.cli", "node", "--data", str(data)],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )

    assert (ran.returncode, list(data.iterdir())) == (meanings.STORE, [])
    assert "run it as user 12345" in ran.stderr
