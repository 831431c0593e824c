from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.tools.serving.children import Child, ChildRestarts, describe_end
from tests.support.processes import alive
from tests.support.waiting import eventually


def test_restarts_back_off() -> None:
    restarts = ChildRestarts(limit=5, window_s=60.0, backoff_s=0.1)

    assert [restarts.delay_s(float(now)) for now in range(4)] == [0.1, 0.2, 0.4, 0.8]


def test_restarts_end_with_the_death_beyond_the_limit() -> None:
    restarts = ChildRestarts(limit=2, window_s=60.0)

    assert [restarts.delay_s(1.0) is None for _ in range(3)] == [False, False, True]


def test_restarts_forget_deaths_that_are_out_of_the_window() -> None:
    restarts = ChildRestarts(limit=1, window_s=60.0, backoff_s=0.1)
    restarts.delay_s(0.0)

    assert restarts.delay_s(60.0) == 0.1


@given(st.lists(st.floats(0.0, 600.0), max_size=60))
def test_restarts_never_pass_their_limit_within_any_window(deaths: list[float]) -> None:
    restarts = ChildRestarts(limit=3, window_s=60.0)
    granted = [now for now in sorted(deaths) if restarts.delay_s(now) is not None]

    assert all(late - early >= 60.0 for early, late in zip(granted, granted[3:], strict=False))


@pytest.mark.parametrize(
    ("code", "words"), [(3, "ended with code 3"), (-9, "was killed by SIGKILL")]
)
def test_end_of_a_process_is_told_in_words(code: int, words: str) -> None:
    assert describe_end(code) == words


def test_what_an_ended_child_leaves_behind_is_killed(tmp_path: Path) -> None:
    child, left = _parent_of_a_sleeper(tmp_path, then="import sys; sys.exit(5)")

    assert eventually(child.ended) == 5
    assert eventually(lambda: not alive(left))


def test_kill_takes_the_whole_session_of_a_child(tmp_path: Path) -> None:
    child, left = _parent_of_a_sleeper(tmp_path, then="time.sleep(600)")
    child.kill()

    assert child.ended() == -signal.SIGKILL
    assert eventually(lambda: not alive(left))


def test_child_gets_no_blocked_signals_from_its_parent() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        child = Child("c", [sys.executable, "-c", _SLEEP], os.environ, signal.SIGKILL)
        child.start()
        child.send(signal.SIGTERM)

        assert eventually(child.ended) == -signal.SIGTERM
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_SLEEP = "import time; time.sleep(600)"


def _parent_of_a_sleeper(folder: Path, then: str) -> tuple[Child, int]:
    """Start a child that starts a process in a group of its own, and then does something."""
    note = folder / "pid"
    program = (
        "import os, subprocess, sys, time\n"
        f"left = subprocess.Popen([sys.executable, '-c', {_SLEEP!r}], process_group=0)\n"
        f"open({str(note) + '.new'!r}, 'w').write(str(left.pid))\n"
        f"os.rename({str(note) + '.new'!r}, {str(note)!r})\n"
        f"{then}\n"
    )
    child = Child("c", [sys.executable, "-c", program], os.environ, signal.SIGKILL)
    child.start()
    eventually(note.exists)
    return child, int(note.read_text())
