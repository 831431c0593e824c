"""The demo, as `make demo` runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_demo_counts_every_word_and_leaves_no_process() -> None:
    command = [sys.executable, "-m", "examples.demo"]
    demo = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "exit code 0, 0 left" in demo.stdout
