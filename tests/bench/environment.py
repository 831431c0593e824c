"""The environment of the peers: made once, apart from the project's own."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.bench import works

_REQUIREMENTS = Path(__file__).parent / "peers-requirements.txt"
_INSTALL_S = 900.0
#: Peers that need nothing but what the project itself has.
_AT_HOME = frozenset({"jobx", "jobx_etcd", "jobx_etcd2", "pool", *works.FLOORS})
_ON_REDIS = frozenset({"celery", "dramatiq"})


class PeersMissingError(Exception):
    """The environment cannot be made."""


def pythons(
    peers: list[str], folder: Path, say: Callable[[str], None]
) -> tuple[dict[str, Path], dict[str, str]]:
    """Return the interpreter of each peer, and why there is none for the others."""
    found = {peer: Path(sys.executable) for peer in peers if peer in _AT_HOME}
    skipped = {}
    abroad = [peer for peer in peers if peer not in _AT_HOME]
    if shutil.which("etcd") is None:
        for peer in [peer for peer in found if "etcd" in peer]:
            del found[peer]
            skipped[peer] = "etcd is not installed"
    if shutil.which("redis-server") is None:
        for peer in [peer for peer in abroad if peer in _ON_REDIS]:
            abroad.remove(peer)
            skipped[peer] = "redis-server is not installed"
    if abroad:
        try:
            python = _made(folder, say)
        except PeersMissingError as error:
            return found, skipped | dict.fromkeys(abroad, str(error))
        found |= dict.fromkeys(abroad, python)
    return found, skipped


def _made(folder: Path, say: Callable[[str], None]) -> Path:
    """Return the interpreter of the environment, which holds what is required."""
    python, stamp = folder / "bin" / "python", folder / "requirements.sha256"
    digest = hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        say(f"making {folder}")
        _run([sys.executable, "-m", "venv", str(folder)], say)
        pip = [str(python), "-m", "pip", "install", "--progress-bar", "off"]
        _run([*pip, "--requirement", str(_REQUIREMENTS)], say)
        stamp.write_text(digest)
    return python


def _run(words: list[str], say: Callable[[str], None]) -> None:
    """Run a program and say each line that it prints.

    Raises:
        PeersMissingError: It fails.
    """
    last = ""
    with subprocess.Popen(
        ["timeout", str(_INSTALL_S), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last = line.strip() or last
            say(last)
    if process.returncode:
        raise PeersMissingError(f"they cannot be installed: {last}")
