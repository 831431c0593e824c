"""Two ``jobx run`` on one data folder without a service: neither loses its request."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from jobx.tools.cli import main
from tests.support.authoring import GATED, WORKFLOW, define
from tests.support.waiting import eventually


def _run(folder: Path, gate: Path) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-P", "-m", "jobx.tools.cli", "run", "w/slow", "-a", f"gate={gate}"]
    environ = {**os.environ, "JOBX_NODE_DATA_DIR": str(folder), "JOBX_NODE_EXECUTORS": "2"}
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, env=environ, stdout=pipe, stderr=pipe)


def _running(folder: Path) -> int:
    """Return how many requests run."""
    words = ["request", "list", WORKFLOW, "--state", "running", "--json", "--data", str(folder)]
    done = CliRunner().invoke(main, words)
    return len(json.loads(done.stdout)["requests"]) if done.exit_code == 0 else 0


def test_a_run_goes_on_alone_when_the_one_ends_whose_node_it_used(tmp_path: Path) -> None:
    define(tmp_path, {"slow": GATED}, {"slow": ("slow", "sum")})
    gates = tmp_path / "first", tmp_path / "second"
    first = _run(tmp_path, gates[0])
    eventually(lambda: _running(tmp_path) == 1)
    second = _run(tmp_path, gates[1])
    eventually(lambda: _running(tmp_path) == 2)

    gates[0].touch()
    first_out, _ = first.communicate(timeout=60)
    gates[1].touch()
    second_out, second_err = second.communicate(timeout=60)

    assert first.returncode == 0
    assert json.loads(first_out)["result"] == {"pairs": [["n", 1]]}
    assert second.returncode == 0, second_err.decode()
    assert json.loads(second_out)["result"] == {"pairs": [["n", 1]]}
    assert b"the request continues" in second_err
