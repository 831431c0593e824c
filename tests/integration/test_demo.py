"""The demo, as `make demo` runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_demo_counts_every_word_and_leaves_no_process() -> None:
    command = [sys.executable, "-m", "examples.demo"]
    demo = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=250, check=False
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "exit code 0, 0 left" in demo.stdout


def test_cluster_demo_without_etcd_says_what_to_install(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.cluster_demo"]
    environ = {**os.environ, "PATH": str(tmp_path)}
    demo = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert demo.returncode == 1
    assert "apt-get install etcd-server" in demo.stdout
