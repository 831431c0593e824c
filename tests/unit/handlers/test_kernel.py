from __future__ import annotations

import subprocess
import sys

import pytest

SEEN = """
import os, sys
from jobx.handlers import kernel
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
