from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from jobx.tools.serving.children import Child
from tests.support.processes import alive
from tests.support.waiting import eventually


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
