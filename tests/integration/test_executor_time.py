"""The time that an executor gives to invocations."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import frames
from tests.support.executors import Executor
from tests.support.running_executor import executor, failure, node, run, works
from tests.support.waiting import eventually

__all__ = ["executor", "node"]


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
