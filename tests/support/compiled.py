"""JobX with compiled executors, in a folder of its own beside the source."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Final

from tests.support import wheels

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "build" / "compiled"


class CompilerMissingError(Exception):
    """Nothing can be compiled here."""


def build(folder: Path = FOLDER) -> Path:
    """Return the folder in which JobX is installed compiled; made when it is not up to date.

    Raises:
        CompilerMissingError: There is no C compiler, or Python's headers are missing.
    """
    _need_compiler()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp, digest = folder / "source.sha256", _digest()
        if not stamp.exists() or stamp.read_text() != digest:
            shutil.rmtree(folder, ignore_errors=True)
            _install(folder)
            stamp.write_text(digest)
    return folder


def environ(source: Path) -> dict[str, str]:
    """Return the environment in which JobX is imported from ``source``, and the tests from here."""
    return {"PYTHONPATH": f"{source}:{ROOT}", "PYTHONSAFEPATH": "1"}


def _need_compiler() -> None:
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    header = Path(sysconfig.get_path("include"), "Python.h")
    if shutil.which(compiler) is None:
        raise CompilerMissingError(f"the C compiler {compiler} is not installed")
    if not header.exists():
        raise CompilerMissingError(f"Python's headers are not installed: {header}")


def _digest() -> str:
    found = hashlib.sha256(sys.version.encode())
    for path in [ROOT / "setup.py", ROOT / "setup.cfg", *sorted((ROOT / "jobx").rglob("*.*"))]:
        if path.is_file() and path.suffix != ".pyc":
            found.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return found.hexdigest()


def _install(folder: Path) -> None:
    """Install as the documents say it: what compiles is in an environment that pip makes for it."""
    with tempfile.TemporaryDirectory(prefix="jobx-compiled-") as scratch:
        source = wheels.copied(Path(scratch, "source"))
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps")
        wheels.run(*pip, "--target", folder, source, JOBX_COMPILE="1")
