"""Wheels of the source, and environments of their own to install them into."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.support.services import absent

ROOT: Final = Path(__file__).parents[2]
_SOURCE: Final = ("setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE", "conf", "jobx")
_RUN_S: Final = 600.0
#: What pip says of each try.
_NO_INDEX: Final = "after connection broken by"


def copied(folder: Path) -> Path:
    """Return a copy of the source, so that builds at the same time share no folder."""
    folder.mkdir(parents=True)
    for name in _SOURCE:
        if (ROOT / name).is_dir():
            caches = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=caches)
        else:
            shutil.copy(ROOT / name, folder)
    return folder


def built(folder: Path) -> Path:
    """Return the wheel of the source, built with the setuptools that is installed here."""
    source = copied(folder / "source")
    run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"),
        *("--wheel-dir", folder, source),
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def run(*command: str | Path, cwd: Path | None = None, **variables: str) -> str:
    """Run a command without the variables of this Python; return its output.

    The test is skipped where the package index cannot be reached.
    """
    ours = ("PYTHON", "VIRTUAL_ENV", "COVERAGE_")
    environ = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_RUN_S,
        check=False,
    )
    if done.returncode and _NO_INDEX in done.stdout:
        absent("index", "the package index cannot be reached")
    assert done.returncode == 0, done.stdout
    return done.stdout


def python(version: str) -> str:
    """Return the program of a version of Python; skip the test where it is nowhere."""
    return _python(version) or absent(f"python{version}", f"there is no Python {version} here")


@functools.cache
def _python(version: str) -> str | None:
    """Return the first Python of that version that runs: this one, on the PATH, or of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [sys.executable if sys.version.startswith(f"{version}.") else None]
    found += [shutil.which(f"python{version}")]
    found += map(str, sorted(pyenv.glob(f"versions/{version}*/bin/python{version}")))
    return next((program for program in found if program and _runs(program, version)), None)


def _runs(program: str, version: str) -> bool:
    # A shim of pyenv is found and does not run; ensurepip may be missing.
    asks = f"import ensurepip, sys; sys.exit(not sys.version.startswith('{version}.'))"
    return subprocess.run([program, "-c", asks], capture_output=True, check=False).returncode == 0
