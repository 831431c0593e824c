"""Real executors of a real fork server, seen from the node's side."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobx.work import DropMappers, Leave
from tests.support import frames
from tests.support.executors import Executor, ExecutorHost
from tests.support.waiting import eventually

GOOD = frames.load("good", "mapper", "yield Return()\nfor k, v in arguments: yield k, v")
SUM = frames.load("r", "reducer", "def handler(key, values): yield key, sum(values)")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ExecutorHost]:
    with ExecutorHost(tmp_path / "tmp", memory_bytes=600 << 20) as started:
        yield started


@pytest.fixture
def executor(node: ExecutorHost) -> Executor:
    made = node.spawn()
    made.frames.send(GOOD)
    made.frames.send(SUM)
    return made


def run(executor: Executor, folder: Path, source_code: str, **fields: Any) -> dict[str, Any]:
    """Run one mapper and return the result frame."""
    load = frames.load("m", "mapper", source_code)
    return executor.ask(load, frames.map_(folder, [["k", 5]], reducer=None, **fields))


def works(executor: Executor, folder: Path) -> bool:
    answer = executor.ask(frames.map_(folder, [["k", 5]], mapper="good"))
    return frames.pairs(answer["segments"][0][3], folder) == [("k", 5)]


def failure(answer: dict[str, Any]) -> dict[str, Any]:
    assert answer["segments"][0][0] == "failed", answer
    found: dict[str, Any] = answer["segments"][0][2]
    return found


def output(answer: dict[str, Any]) -> str:
    notes = answer["segments"][0][-1]
    return str(notes[1]["output"])


def test_an_executor_is_confined(executor: Executor, tmp_path: Path) -> None:
    source = (
        "import os, resource\nyield Return()\n"
        "yield 'env', dict(os.environ)\nyield 'cwd', os.getcwd()\nyield 'group', os.getpgrp()\n"
        "yield 'core', resource.getrlimit(resource.RLIMIT_CORE)\n"
        "yield 'privs', open('/proc/self/status').read().split('NoNewPrivs:')[1].split()[0]\n"
        "yield 'fds', sorted(fd for fd in map(int, os.listdir('/proc/self/fd')) if fd < 200)[:4]\n"
    )
    seen = dict(frames.pairs(run(executor, tmp_path, source)["segments"][0][3], tmp_path))
    folder = seen["cwd"]
    assert seen["env"] == {"PATH": os.environ["PATH"], "TMPDIR": folder}
    assert Path(folder).parent == tmp_path / "tmp"
    assert (seen["group"], seen["core"], seen["privs"]) == (executor.pid, [0, 0], "1")
    assert seen["fds"][:3] == [0, 1, 2]


def test_an_executor_does_not_interrupt_others_when_it_wakes_up(executor: Executor) -> None:
    assert os.sched_getscheduler(executor.pid) == os.SCHED_BATCH


def test_executors_end_with_the_node(tmp_path: Path) -> None:
    with ExecutorHost(tmp_path / "tmp") as node:
        pids = [node.spawn().pid for _ in range(2)]
    assert node.process.returncode == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_executors_end_with_the_fork_server(tmp_path: Path) -> None:
    with ExecutorHost(tmp_path / "tmp") as node:
        pid = node.spawn().pid
        node.process.kill()
        node.process.wait(60)
        eventually(lambda: _is_gone(pid))


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_an_executor_leaves_when_it_is_told_or_its_socket_is_closed(node: ExecutorHost) -> None:
    told, closed = node.spawn(), node.spawn()
    told.frames.send(Leave())
    assert node.hear() == {"t": "exited", "pid": told.pid, "status": 0}
    closed.frames.close()
    assert node.hear() == {"t": "exited", "pid": closed.pid, "status": 0}


def test_what_is_no_frame_costs_the_executor(node: ExecutorHost) -> None:
    executor = node.spawn()
    executor.frames.send({"t": "dance"})
    assert node.hear() == {"t": "exited", "pid": executor.pid, "status": 1}


@pytest.mark.parametrize(
    ("source_code", "status"),
    [
        ("import os\nos._exit(7)", 7),
        ("import ctypes\nctypes.string_at(0)", -signal.SIGSEGV),
        ("import os\nos.abort()", -signal.SIGABRT),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
        ("import os\nos.closerange(0, 4096)", 1),
    ],
)
def test_an_executor_that_dies_is_reported_with_what_it_was_at(
    node: ExecutorHost, executor: Executor, tmp_path: Path, source_code: str, status: int
) -> None:
    indented = "\n".join(f" {line}" for line in source_code.split("\n"))
    source = f"yield Return()\nif 3 in arguments:\n{indented}"
    executor.frames.send(frames.load("m", "mapper", source))
    items = [[n, n] for n in range(1, 5)]
    executor.frames.send(frames.map_(tmp_path, items, reducer=None, id=77))
    assert node.hear() == {"t": "exited", "pid": executor.pid, "status": status}
    if status != 1:
        assert executor.at_work_on() == (77, 3)
    assert works_anew(node, tmp_path)


def works_anew(node: ExecutorHost, folder: Path) -> bool:
    executor = node.spawn()
    executor.frames.send(GOOD)
    executor.frames.send(SUM)
    return works(executor, folder)


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
    eventually(lambda: _is_gone(int((tmp_path / "pid").read_text())))
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("source_code", "kind", "type_name"),
    [
        ("import sys\nsys.exit(1)", "author", "SystemExit"),
        ("def f(): f()\nf()", "author", "RecursionError"),
        ("x = bytearray(2 << 30)", "memory", "MemoryError"),
        ("x = []\nwhile True: x.append(bytearray(1 << 20))", "memory", "MemoryError"),
        ("x = 1\nfor n in range(10000): x = [x]\nyield Return()\nyield 1, x", "pair", "PairError"),
    ],
)
def test_an_executor_survives(
    executor: Executor, tmp_path: Path, source_code: str, kind: str, type_name: str
) -> None:
    failed = failure(run(executor, tmp_path, f"{source_code}\nyield Return()"))
    assert (failed["kind"], failed["type"]) == (kind, type_name)
    assert works(executor, tmp_path)


@pytest.mark.parametrize(
    "source_code",
    [
        "yield Return()\nwhile True: pass",
        "import time\nyield Return()\ntime.sleep(60)",
        "yield Return()\nRUN('sleep 60')",
        "yield Return()\nn = 0\nwhile True:\n try:\n  while True: n += 1\n except Exception: pass",
        "def handler(arguments):\n yield Map('t')\n while True: pass",
    ],
)
def test_an_invocation_over_its_time_is_interrupted_in_its_own_lines(
    executor: Executor, tmp_path: Path, source_code: str
) -> None:
    failed = failure(run(executor, tmp_path, source_code, time_limit_s=0.2))
    assert (failed["kind"], failed["type"]) == ("timeout", "HandlerTimeout")
    assert failed["message"].endswith(("its time limit of 0.2 s", "at the time limit"))
    assert failed["traceback"].startswith('  File "<handler m>", line ')
    assert works(executor, tmp_path)


def test_an_exception_that_takes_for_ever_to_say_what_it_is_ends_only_its_invocation(
    executor: Executor, tmp_path: Path
) -> None:
    source = "class Slow(Exception):\n def __str__(self):\n  while True: pass\nraise Slow\nyield"
    failed = failure(run(executor, tmp_path, source))
    assert (failed["type"], "took too long" in failed["message"]) == ("Slow", True)
    assert works(executor, tmp_path)


@pytest.mark.parametrize("seconds", [0, 3600])
def test_an_invocation_is_interrupted_after_one_that_set_the_timer(
    executor: Executor, tmp_path: Path, seconds: int
) -> None:
    source = f"import signal\nsignal.setitimer(signal.ITIMER_REAL, {seconds})\nyield Return()"
    run(executor, tmp_path, source)
    executor.frames.send(frames.load("spin", "mapper", "yield Return()\nwhile True: pass"))
    frame = frames.map_(tmp_path, [[1, 1]], mapper="spin", reducer=None, time_limit_s=0.2)
    assert executor.ask(frame)["segments"][0][2]["type"] == "HandlerTimeout"


def test_each_invocation_has_its_own_time(executor: Executor, tmp_path: Path) -> None:
    executor.frames.send(
        frames.load("m", "mapper", "import time\nyield Return()\ntime.sleep(0.1)\nyield 1, 1")
    )
    items = [[n, n] for n in range(25)]
    answer = executor.ask(frames.map_(tmp_path, items, time_limit_s=2.0))
    assert [segment[:3] for segment in answer["segments"]] == [["returned", 1, 25]]


def test_a_suspended_mapper_uses_up_one_time_limit_in_all(
    executor: Executor, tmp_path: Path
) -> None:
    source = "import time\nyield Map('t')\nfor n in range(9):\n time.sleep(0.1)\n yield n, n"
    fields = {"chunk_pairs": 1, "time_limit_s": 0.45}
    answer = run(executor, tmp_path, source, **fields)
    for _ in range(9):
        if answer["segments"][0][0] == "failed":
            break
        answer = executor.ask(frames.work("pull", tmp_path, vertex=1, **fields))
    assert failure(answer)["kind"] == "timeout"


@pytest.mark.parametrize(
    ("source_code", "expected"),
    [
        ("print('a', end='')", "a"),
        ("import sys\nsys.stderr.write('a')", "a"),
        ("import sys\nsys.stdout.buffer.write(b'a')", "a"),
        ("import os\nos.write(1, b'a')\nos.write(2, b'b')", "ab"),
        ("import subprocess\nsubprocess.run(['echo', 'a'])", "a\n"),
        ("import subprocess, sys\nsubprocess.run(['echo', 'a'], stdout=sys.stdout)", "a\n"),
        ("print(sys.stdin.read() if 0 else open(0).read(), end='.')", "."),
        ("PRINT('\\udc80')\nprint('é')", "\\udc80\né\n"),
    ],
)
def test_output_of_all_kinds_is_captured(
    executor: Executor, tmp_path: Path, source_code: str, expected: str
) -> None:
    answer = run(executor, tmp_path, f"{source_code}\nyield Return()")
    assert output(answer) == expected


@pytest.mark.parametrize(
    "source_code",
    [
        "for n in range(300): print('x' * 100_000)",
        "import os\nfor n in range(300): os.write(1, b'x' * 100_001)",
        "RUN(['sh', '-c', 'head -c 30000300 /dev/zero >&2'])",
        "import subprocess\nsubprocess.run(['head', '-c', '30000300', '/dev/zero'])",
    ],
)
def test_a_flood_of_output_is_cut_and_counted(
    executor: Executor, tmp_path: Path, source_code: str
) -> None:
    captured = output(run(executor, tmp_path, f"{source_code}\nyield Return()"))
    cut = 30_000_300 - (1 << 16)
    assert captured.endswith(f"\n[{cut} bytes of output were cut]\n")
    assert works(executor, tmp_path)


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


def test_a_batch_that_is_recalled_ends_with_the_invocation_at_work(
    executor: Executor, tmp_path: Path
) -> None:
    wait = "import os\nyield Return()\nwhile not os.path.exists(arguments['k']): pass"
    gate = tmp_path / "gate"
    executor.frames.send(frames.load("m", "mapper", wait))
    executor.frames.send(frames.map_(tmp_path, [["k", str(gate)]] * 5, id=7))
    executor.frames.send(frames.reduce(tmp_path, [], id=8))
    eventually(lambda: executor.at_work_on() == (7, 1))

    executor.page.recalled = 8
    gate.touch()

    assert [segment[:3] for segment in executor.ask()["segments"]] == [
        ["returned", 1, 1],
        ["unstarted", 2, 4],
    ]
    assert executor.ask()["segments"] == []
    assert executor.ask(frames.reduce(tmp_path, [], id=9))["segments"][0][0] == "reduced"


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


def test_an_executor_that_fails_says_why_where_its_fork_server_does(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with ExecutorHost(tmp_path / "tmp") as node:
        node.spawn().frames.send({"t": "dance"})
        node.hear()
    assert "an executor knows no such frame: Invalid value 'dance'" in capfd.readouterr().err


def test_a_large_answer_goes_through_blobs(executor: Executor, tmp_path: Path) -> None:
    source = "yield Return()\nfor n in range(50_000): yield n, 'x' * 20"
    answer = run(executor, tmp_path, source, sync=True, sections=4)
    wires = answer["segments"][0][3]
    assert all(wire[3].startswith("b-") for wire in wires)
    assert len(frames.pairs(wires, tmp_path)) == 50_000


def test_a_result_that_is_too_large_fails_its_invocations(tmp_path: Path) -> None:
    with ExecutorHost(tmp_path / "tmp") as node:
        executor = node.spawn()
        source = "yield Return()\nS_SET('k', b'x' * (65 << 20))"
        answer = run(executor, tmp_path, source)
        failed = failure(answer)
        assert (failed["kind"], "larger than" in failed["message"]) == ("internal", True)
