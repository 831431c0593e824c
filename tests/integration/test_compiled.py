"""What is compiled does the same: it passes the tests of what it is compiled from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import compiled
from tests.support.services import absent

#: Of the rooms with what is compiled, from the single function to the real process.
TESTS = (
    "tests/unit/test_key_hashes.py",
    "tests/unit/test_value_rules.py",
    "tests/unit/test_values.py",
    *(f"tests/unit/handlers/{room}" for room in ("blobs", "execution", "pairs", "scope")),
    *(f"tests/integration/test_executor{subject}.py" for subject in ("", "_cleaning", "_time")),
    "tests/integration/test_node_handlers.py",
)
TESTS_S = 900


@pytest.fixture(scope="module")
def folder() -> Path:
    try:
        return compiled.build()
    except compiled.CompilerMissingError as error:
        absent("cc", str(error))


def run(folder: Path, *words: str) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=compiled.ROOT,
        env=environ | compiled.environ(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TESTS_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.timeout(TESTS_S)
def test_a_compiled_build_says_so(folder: Path) -> None:
    assert "(compiled)" in run(folder, "jobx.tools.cli", "--version")


@pytest.mark.timeout(TESTS_S)
def test_what_is_compiled_passes_the_tests_of_its_source(folder: Path) -> None:
    pytest_ = ["pytest", "--quiet", "-p", "no:cacheprovider", "-p", "no:xdist"]
    assert " passed" in run(folder, *pytest_, "-m", "not interpreted", *TESTS)
