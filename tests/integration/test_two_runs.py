"""Two ``jobx run`` on one data folder without a service: neither loses its request."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.authoring import SLEEP, define
from tests.support.waiting import eventually


def _run(folder: Path, ms: int) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-P", "-m", "jobx.tools.cli", "run", "w/slow", "-a", f"ms={ms}"]
    environ = {**os.environ, "JOBX_NODE_DATA_DIR": str(folder), "JOBX_NODE_EXECUTORS": "2"}
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, env=environ, stdout=pipe, stderr=pipe)


def test_a_run_goes_on_alone_when_the_one_ends_whose_node_it_used(tmp_path: Path) -> None:
    define(tmp_path, {"slow": SLEEP}, {"slow": ("slow", "sum")})
    first = _run(tmp_path, 1500)
    eventually((tmp_path / "gateway.sock").exists)
    second = _run(tmp_path, 6000)

    first_out, _ = first.communicate(timeout=60)
    second_out, second_err = second.communicate(timeout=60)

    assert first.returncode == 0
    assert json.loads(first_out)["result"] == {"pairs": [["slept", 1]]}
    assert second.returncode == 0, second_err.decode()
    assert json.loads(second_out)["result"] == {"pairs": [["slept", 1]]}
    assert b"the request continues" in second_err
