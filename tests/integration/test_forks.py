"""Processes that handlers fork: whatever becomes of them, the one that was asked answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import frames
from tests.support.executors import Executor, ExecutorHost

GOOD = "import os\nyield Return()\nyield 'pid', os.getpid()"


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[Executor]:
    with ExecutorHost(tmp_path / "tmp") as node:
        yield node.spawn()


def run(executor: Executor, folder: Path, source: str, name: str = "m") -> dict[str, Any]:
    """Run three siblings and return the answer."""
    executor.frames.send(frames.load(name, "mapper", source))
    items = [["k", n] for n in range(3)]
    return executor.ask(frames.map_(folder, items, mapper=name, reducer=None))


def pids(answer: dict[str, Any], folder: Path) -> set[int]:
    found = frames.by_kind(answer["segments"])
    assert set(found) == {"returned"}, answer
    wires = [wire for segment in found["returned"] for wire in segment[3]]
    return {pid for key, pid in frames.pairs(wires, folder) if key == "pid"}


WAYS = {
    "returns": "if not os.fork():\n    return",
    "goes on": "os.fork()",
    "ends the generator early": "if not os.fork():\n    yield 'child', 1\n    return",
    "exits": "if not os.fork():\n    sys.exit(3)",
    "exits with words": "if not os.fork():\n    sys.exit('enough')",
    "raises": "if not os.fork():\n    raise ValueError('child')",
    "ends at once": "if not os.fork():\n    os._exit(0)",
    "is one of its own": "if not os.fork():\n    os.fork()\n    return",
    "has a terminal": "import pty\nif not pty.fork()[0]:\n    return",
    "C makes": "import ctypes\nctypes.CDLL(None).fork()",
    "multiprocessing makes": (
        "import multiprocessing\np = multiprocessing.get_context('fork').Process(target=print)\n"
        "p.start(); p.join()"
    ),
}


@pytest.mark.parametrize("body", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("where", ["before", "between"])
def test_the_process_that_was_asked_answers(
    body: str, where: str, executor: Executor, tmp_path: Path
) -> None:
    parts = ["import os, sys", "yield Return()", body]
    if where == "between":
        parts.insert(2, "yield 'first', 1")
    source = "\n".join([*parts, "import time\ntime.sleep(0.02)\nyield 'pid', os.getpid()"])
    assert pids(run(executor, tmp_path, source), tmp_path) == {executor.pid}


def test_a_copy_writes_no_blob(executor: Executor, tmp_path: Path) -> None:
    """Its output would have the name of that of the process that was asked."""
    source = "import os, time\nyield Return()\npid = os.fork()\nyield 'pid', os.getpid()\n"
    source += "if pid: os.waitpid(pid, 0)\nfor n in range(5000): yield 'x' * 50 + str(n), n"
    executor.frames.send(frames.load("m", "mapper", source))
    answer = executor.ask(
        frames.map_(tmp_path, [["k", 1]], mapper="m", reducer=None, inline_bytes=0)
    )
    assert pids(answer, tmp_path) == {executor.pid}
    (blob,) = [path.name for path in tmp_path.iterdir() if path.name.startswith("b-")]
    assert blob == "b-0"


@pytest.mark.parametrize(
    ("ending", "code"),
    [("return", 0), ("sys.exit(3)", 3), ("sys.exit()", 0), ("raise ValueError", 1)],
)
def test_a_copy_ends_as_a_program_does(
    ending: str, code: int, executor: Executor, tmp_path: Path
) -> None:
    source = (
        "import os, sys\nyield Return()\npid = os.fork()\n"
        f"if not pid:\n    print('said')\n    {ending}\n"
        "_, status = os.waitpid(pid, 0)\nyield 'code', os.waitstatus_to_exitcode(status)"
    )
    answer = run(executor, tmp_path, source)
    wires = [wire for segment in answer["segments"] for wire in segment[3]]
    assert frames.pairs(wires, tmp_path) == [("code", code)] * 3
    assert "said" in str(answer["segments"])


def test_an_executor_whose_import_was_cut_gives_back_the_rest_and_leaves(
    executor: Executor, tmp_path: Path
) -> None:
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(60)\n")
    source = (
        f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nyield Return()\nimport slow_to_import"
    )
    executor.frames.send(frames.load("m", "mapper", source))
    items = [["k", n] for n in range(3)]
    answer = executor.ask(frames.map_(tmp_path, items, mapper="m", reducer=None, time_limit_s=0.3))
    assert [segment[:2] for segment in answer["segments"]] == [["failed", 1], ["unstarted", 2]]
    assert answer["segments"][0][2]["kind"] == "timeout"
    assert executor.leaves()


def test_an_import_whose_cut_was_swallowed_is_one_too(executor: Executor, tmp_path: Path) -> None:
    (tmp_path / "swallowed.py").write_text("import time\ntime.sleep(60)\n")
    source = (
        f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nyield Return()\n"
        "try:\n    import swallowed\nexcept BaseException: pass\nyield 'pid', 1"
    )
    executor.frames.send(frames.load("m", "mapper", source))
    executor.ask(frames.map_(tmp_path, [["k", 1]], mapper="m", reducer=None, time_limit_s=0.3))
    assert executor.leaves()


def test_an_executor_that_is_over_its_time_outside_of_imports_stays(
    executor: Executor, tmp_path: Path
) -> None:
    source = "yield Return()\nwhile True: pass"
    executor.frames.send(frames.load("m", "mapper", source))
    answer = executor.ask(
        frames.map_(tmp_path, [["k", 1]], mapper="m", reducer=None, time_limit_s=0.2)
    )
    assert answer["segments"][0][2]["kind"] == "timeout"
    assert pids(run(executor, tmp_path, GOOD, "good"), tmp_path) == {executor.pid}
