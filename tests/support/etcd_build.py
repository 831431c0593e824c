"""Builds a server of etcd that no distribution has, as a Go module; needs Go and its proxy.

``python -m tests.support.etcd_build 3.7.3`` leaves ``build/etcd-3.7.3``; with
``ETCD_UNDER_TEST=build/etcd-3.7.3`` tests start it instead of ``etcd``. It takes two minutes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

MODULE: Final = "go.etcd.io/etcd/server/v3"
FOLDER: Final = Path(__file__).parents[2] / "build"


def build(version: str) -> Path:
    """Build the server of a version, such as ``3.7.3``; return its program."""
    program = FOLDER / f"etcd-{version}"
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for command in (
            ["go", "mod", "init", "etcd-for-tests"],
            ["go", "get", "-tool", f"{MODULE}@v{version}"],
            ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", str(program), MODULE],
        ):
            subprocess.run(command, cwd=folder, check=True)
    return program


if __name__ == "__main__":
    sys.stdout.write(f"{build(sys.argv[1])}\n")
