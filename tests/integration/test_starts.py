"""Starts that are cut off: killed at any moment, or by a full disk; the next one works.

``JOBX_CHAOS_STARTS`` says at how many moments.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.test_durability import DISK_BYTES, fill
from tests.support.authoring import ANSWER, SLEEP, define
from tests.support.disks import small_disk
from tests.support.processes import ProcessIdentity, descendants, identity, running
from tests.support.served import LAUNCH, kill, served
from tests.support.waiting import eventually

KILLS = int(os.environ.get("JOBX_CHAOS_STARTS", "6"))
SEED = int(os.environ.get("JOBX_CHAOS_SEED", "1"))
#: Longer than a start takes.
LONGEST_S = 2.5
HANDLERS = {"answer": ANSWER, "sleep": SLEEP}
STEPS = {"answer": ("answer", "sum"), "sleep": ("sleep", "sum")}


def start_and_kill(data_dir: Path, delay_s: float) -> None:
    """Start ``serve`` and kill its first process after a while; wait until all of it is gone."""
    command = [sys.executable, "-m", *LAUNCH, "serve", "--executors", "2"]
    command += ["--data", str(data_dir), "--bind", "127.0.0.1:0"]
    environ = {name: text for name, text in os.environ.items() if not name.startswith("JOBX_")}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, env=environ, start_new_session=True
    )
    deadline = time.monotonic() + delay_s
    below: set[ProcessIdentity] = set()
    while time.monotonic() < deadline:
        below |= {one for pid in descendants(process.pid) if (one := identity(pid))}
        time.sleep(0.01)
    kill(process.pid)
    process.wait(60)
    eventually(lambda: not any(one.goes_on for one in below), timeout_s=60)


@pytest.mark.chaos
@pytest.mark.timeout(60 + 15 * KILLS)
def test_start_that_was_killed_at_any_moment_is_in_no_way_of_the_next(tmp_path: Path) -> None:
    define(tmp_path, HANDLERS, STEPS)
    with served(tmp_path) as serving:
        slow = serving.post("sleep", {"ms": 600_000}, Prefer="respond-async").request_id
        serving.kill_all()
    rng = random.Random(SEED)
    for _ in range(KILLS):
        start_and_kill(tmp_path, rng.uniform(0, LONGEST_S))
    environ = {"JOBX_REQUESTS_NODE_DEATHS": "100"}
    with served(tmp_path, **environ) as serving:
        assert serving.post("answer", {}).pairs == [["answer", 42]]
        assert serving.get(slow).body["state"] == "running"


@pytest.mark.parametrize("command", ["serve", "node"])
def test_start_on_a_full_disk_says_so_and_the_next_one_works(command: str, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", DISK_BYTES) as disk:
        define(disk, HANDLERS, STEPS)
        with served(disk) as serving:
            assert serving.post("answer", {}).status == 200
            serving.kill_all()
        ballast = fill(disk)
        words = [command, "--data", str(disk)]
        words += ["--bind", "127.0.0.1:0"] if command == "serve" else []
        with running(["-m", *LAUNCH, *words]) as process:
            stderr = process.communicate(timeout=120)[1]
        assert process.returncode == 7
        assert "no room left in" in stderr
        assert "Traceback" not in stderr
        ballast.unlink()
        with served(disk) as serving:
            assert serving.post("answer", {}).pairs == [["answer", 42]]
