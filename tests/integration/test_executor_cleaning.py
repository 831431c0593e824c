"""What an executor undoes of author code, and when it leaves because it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobx.work import DropMappers
from tests.support import frames
from tests.support.executors import Executor, ExecutorHost
from tests.support.running_executor import GOOD, executor, failure, is_gone, node, output, run
from tests.support.waiting import eventually

__all__ = ["executor", "node"]


def test_what_an_executor_left_is_killed_and_removed(
    node: ExecutorHost, executor: Executor, tmp_path: Path
) -> None:
    source = (
        "import subprocess, os\nchild = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\nos._exit(1)"
    )
    executor.frames.send(frames.load("m", "mapper", f"{source}\nyield"))
    executor.frames.send(frames.map_(tmp_path, [[1, 1]], reducer=None))
    assert node.hear()["t"] == "exited"
    eventually(lambda: is_gone(int((tmp_path / "pid").read_text())))
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    "descriptors",
    [
        "for fd in (0, 1, 2): os.close(fd)",
        "for fd in (0, 1, 2): os.dup2(os.open('/dev/zero', os.O_RDWR), fd)",
    ],
)
def test_what_author_code_did_to_the_process_is_undone(
    executor: Executor, tmp_path: Path, descriptors: str
) -> None:
    source = (
        "import os, signal, sys\nos.chdir('/')\nos.umask(0)\nsys.stdout = None\n"
        "for number in (signal.SIGTERM, signal.SIGALRM): signal.signal(number, signal.SIG_IGN)\n"
        f"{descriptors}\nyield Return()"
    )
    assert run(executor, tmp_path, source)["segments"][0][0] == "returned"
    look = (
        "import os, signal\nprint('seen')\nos.write(1, b'too')\nyield Return()\n"
        "assert not os.read(0, 1)\n"
        "yield os.getcwd(), [os.umask(0), signal.getsignal(signal.SIGTERM) is signal.SIG_DFL]"
    )
    executor.frames.send(frames.load("look", "mapper", look))
    answer = executor.ask(frames.map_(tmp_path, [[1, 1]], mapper="look", reducer=None))
    ((cwd, found),) = frames.pairs(answer["segments"][0][3], tmp_path)
    assert (Path(cwd).parent, found) == (tmp_path / "tmp", [0o077, True])
    assert output(answer) == "seen\ntoo"
    loop = run_named(executor, tmp_path, "yield Return()\nwhile True: pass")
    assert failure(loop)["kind"] == "timeout"


def run_named(executor: Executor, folder: Path, source_code: str) -> dict[str, Any]:
    executor.frames.send(frames.load("loop", "mapper", source_code))
    return executor.ask(
        frames.map_(folder, [[1, 1]], mapper="loop", reducer=None, time_limit_s=0.2)
    )


@pytest.mark.parametrize(
    "source_code",
    [
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()",
        "import subprocess\nsubprocess.Popen(['sleep', '60'])",
        "import os\nif os.fork() == 0: os.execvp('sleep', ['sleep', '60'])",
    ],
)
def test_an_executor_with_something_left_behind_answers_and_leaves(
    node: ExecutorHost, executor: Executor, tmp_path: Path, source_code: str
) -> None:
    answer = run(executor, tmp_path, f"{source_code}\nyield Return()\nyield 1, 1")
    assert (answer["segments"][0][0], executor.leaves()) == ("returned", True)
    assert node.hear() == {"t": "exited", "pid": executor.pid, "status": 0}


def test_an_executor_leaves_after_so_many_invocations(tmp_path: Path) -> None:
    with ExecutorHost(tmp_path / "tmp", recycle_invocations=5) as node:
        executor = node.spawn()
        executor.frames.send(GOOD)
        frame = frames.map_(tmp_path, [[n, n] for n in range(3)], mapper="good", reducer=None)
        assert [executor.ask(frame)["t"] for _ in range(2)] == ["result", "result"]
        assert executor.leaves()


def test_an_executor_that_keeps_mappers_does_not_leave(tmp_path: Path) -> None:
    with ExecutorHost(tmp_path / "tmp", recycle_growth_bytes=20 << 20) as node:
        executor = node.spawn()
        grow = "yield Map('t')\nx = b'x' * (arguments['k'] << 20)\nyield 1, 1\nyield x and 2, 2"
        executor.frames.send(frames.load("m", "mapper", grow))
        for size in (1, 25, 30):
            executor.ask(frames.map_(tmp_path, [["k", size]], first=size, chunk_pairs=1))
        assert not executor.leaves()


LEAVE_FILE = "yield Map('t')\nopen('left', 'w').close()\nyield 1, 1\nyield 2, 2"
LOOK = "import os\nyield Return()\nyield 'left', os.path.exists('left')"


def test_files_of_a_suspended_mapper_are_removed_when_it_is_dropped(
    executor: Executor, tmp_path: Path
) -> None:
    executor.frames.send(frames.load("m", "mapper", LEAVE_FILE))
    executor.frames.send(frames.load("look", "mapper", LOOK))
    executor.ask(frames.map_(tmp_path, [["k", 1]], chunk_pairs=1))
    found = []
    for request_id in ("r2", "r3"):
        request = frames.of_request(request_id)
        answer = executor.ask(
            frames.map_(tmp_path, [[1, 1]], request=request, mapper="look", reducer=None)
        )
        found += frames.pairs(answer["segments"][0][3], tmp_path)
        executor.frames.send(DropMappers("r1"))
    assert found == [("left", True), ("left", False)]


def test_an_executor_that_cannot_clean_answers_and_leaves(
    node: ExecutorHost, executor: Executor, tmp_path: Path
) -> None:
    replace = (
        "import os, shutil\nshutil.rmtree(os.getcwd())\nopen(os.environ['TMPDIR'], 'w').close()"
    )
    answer = run(executor, tmp_path, f"{replace}\nyield Return()\nyield 1, 1")
    assert (answer["segments"][0][0], executor.leaves()) == ("returned", True)
    assert node.hear() == {"t": "exited", "pid": executor.pid, "status": 0}


def test_an_executor_that_cannot_clean_runs_no_other_request(
    executor: Executor, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    spoil = (
        "import os\nos.environ.clear = None\nos.environ['LEFT'] = '1'\nyield Return()\n"
        f"while not os.path.exists({str(gate)!r}): pass"
    )
    executor.frames.send(frames.load("m", "mapper", spoil))
    executor.frames.send(frames.map_(tmp_path, [["k", 1]], reducer=None, id=7))
    other = frames.of_request("r2")
    executor.frames.send(frames.map_(tmp_path, [["k", 1]], request=other, mapper="good", id=8))
    gate.touch()
    assert executor.ask()["id"] == 7
    assert executor.ask() == {"t": "leaving"}
