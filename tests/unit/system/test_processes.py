from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from jobx.system.processes import how_ended, is_stopped, limit_bytes, rss_bytes, time_used
from tests.support.waiting import eventually


def test_a_stopped_process_is_seen() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        assert not is_stopped(process.pid)
        os.kill(process.pid, signal.SIGSTOP)
        eventually(lambda: is_stopped(process.pid))
        process.kill()
    assert not is_stopped(process.pid)


def test_memory_of_this_process_is_within_its_limit() -> None:
    assert 0 < rss_bytes() < limit_bytes()


def test_process_that_has_ended_has_no_memory() -> None:
    with subprocess.Popen(["/bin/true"]) as process:
        process.wait(60)
    assert rss_bytes(process.pid) == 0


def test_who_sleeps_has_waited_and_who_works_uses_a_processor() -> None:
    used_ns, waits = time_used()
    time.sleep(0.001)
    assert time_used()[1] > waits
    eventually(lambda: time_used()[0] > used_ns)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (3, "ended with code 3"),
        (-9, "was killed by SIGKILL"),
        (-signal.SIGRTMAX - 1, f"was killed by signal {signal.SIGRTMAX + 1}"),
    ],
)
def test_end_of_a_process_is_told_in_words(code: int, words: str) -> None:
    assert how_ended(code) == words
