"""Real executors of a real fork server, seen from the node's side."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from jobx.work import Leave
from tests.support import frames
from tests.support.executors import Executor, ExecutorHost
from tests.support.running_executor import (
    executor,
    failure,
    is_gone,
    node,
    output,
    run,
    works,
    works_anew,
)
from tests.support.signals import odd_signals
from tests.support.waiting import eventually

__all__ = ["executor", "node"]


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
        eventually(lambda: is_gone(pid))


def test_an_executor_leaves_when_it_is_told_or_its_socket_is_closed(node: ExecutorHost) -> None:
    told, closed = node.spawn(), node.spawn()
    told.frames.send(Leave())
    assert node.hear() == {"t": "exited", "pid": told.pid, "status": 0}
    closed.frames.close()
    assert node.hear() == {"t": "exited", "pid": closed.pid, "status": 0}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_end_of_an_executor_is_known_whatever_signals_were_inherited(
    tmp_path: Path, number: signal.Signals
) -> None:
    with odd_signals():
        host = ExecutorHost(tmp_path / "tmp").__enter__()
    with ExitStack() as ends:
        ends.push(host)
        pid = host.spawn().pid
        os.kill(pid, number)
        assert host.hear() == {"t": "exited", "pid": pid, "status": -number}
    assert host.process.returncode == 0


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


#: How a handler brings its own process to a limit, so that it cannot write what it yields.
OWN_LIMITS = {
    "small files": "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (5, -1))",
    "small files for good": "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (5, 5))",
    "descriptors": (
        "import os, resource as r, sys\n"
        "r.setrlimit(r.RLIMIT_NOFILE, (64, r.getrlimit(r.RLIMIT_NOFILE)[1]))\n"
        "sys.held = []\n"
        "try:\n    while True: sys.held.append(os.dup(0))\nexcept OSError: pass"
    ),
}


@pytest.mark.parametrize("limit", OWN_LIMITS.values(), ids=OWN_LIMITS)
def test_a_limit_that_a_handler_set_is_no_full_disk_and_its_executor_leaves(
    executor: Executor, tmp_path: Path, limit: str
) -> None:
    source = f"yield Return()\n{limit}\nyield 'k', 'v' * 300_000"
    found = failure(run(executor, tmp_path, source))
    assert (found["kind"], found["type"]) == ("crash", "ExecutorAtLimit")
    assert executor.leaves()
