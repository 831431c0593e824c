from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.processes import running

SEEN = """
import os, sys
from jobx.system import kernel
os.sched_setscheduler(0, getattr(os, sys.argv[1]), os.sched_param(0))
kernel.give_way()
print(os.sched_getscheduler(0) == getattr(os, sys.argv[2]))
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("SCHED_OTHER", "SCHED_BATCH"),
        ("SCHED_BATCH", "SCHED_BATCH"),
        ("SCHED_IDLE", "SCHED_IDLE"),
    ],
)
def test_a_process_gives_way_unless_a_policy_was_chosen_for_it(before: str, after: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SEEN, before, after], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "True\n"


@pytest.mark.parametrize(("hard", "expected"), [(50, 50), (500, 100)])
def test_a_limit_is_no_more_than_this_process_may_have(hard: int, expected: int) -> None:
    """``ulimit`` of who starts the node may be lower than what is set."""
    program = (
        "import resource; from jobx.system import kernel; number = resource.RLIMIT_NOFILE;"
        f"resource.setrlimit(number, ({hard}, {hard})); kernel.limit(number, 100);"
        "print(*resource.getrlimit(number))"
    )
    with running(["-c", program]) as process:
        assert process.communicate(timeout=60)[0].split() == [str(expected)] * 2


def test_much_freed_memory_is_given_back_once() -> None:
    program = (
        "from jobx.system import kernel, processes\n"
        "heap = kernel.Heap()\n"
        "held = [bytes(8000) for _ in range(30_000)]; last = bytes(8000)\n"
        "full = processes.rss_bytes(); del held\n"
        "print(heap.give_back(), processes.rss_bytes() < full // 2, heap.give_back())"
    )
    with running(["-c", program]) as process:
        assert process.communicate(timeout=60)[0].split() == ["True", "True", "False"]
