"""The wheel, installed as an operator does on each Python that JobX names."""

from __future__ import annotations

import configparser
import json
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

import jobx
from jobx.system.extras import DISTRIBUTION
from tests.support import wheels

ROOT: Final = wheels.ROOT
PREFIX: Final = "Programming Language :: Python :: "
#: The workflow of the README.
SETUP: Final = (
    ("workflow", "create", "demo", "Jobs."),
    ("handler", "sync", "demo", str(ROOT / "examples" / "letters" / "handlers")),
    ("step", "create", "demo", "letters", "Letters.", "count_letters", "", "add_up"),
    ("job", "create", "demo", "letters", "Letters.", "letters"),
)
RUN: Final = ("run", "demo/letters", "-a", "text=Hello", "--executors", "1")


def versions() -> list[str]:
    """Return the versions of Python that setup.cfg names."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = setup["metadata"]["classifiers"].splitlines()
    found = [line.removeprefix(PREFIX) for line in lines if line.startswith(f"{PREFIX}3.")]
    assert found
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels.built(tmp_path_factory.mktemp("wheel"))


def files(folder: str) -> set[str]:
    """Return the files of a folder of the source, relative to it."""
    found = [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(ROOT / folder)) for path in found if path.suffix != ".pyc"}


def test_the_wheel_has_every_file_of_the_package_and_of_conf(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    data = f"{DISTRIBUTION.replace('-', '_')}-{jobx.__version__}.data/data/share/jobx/conf/"
    for folder, place in (("jobx", "jobx/"), ("conf", data)):
        assert {n.removeprefix(place) for n in names if n.startswith(place)} == files(folder)


@pytest.mark.parametrize("version", versions())
def test_a_job_runs_where_the_wheel_and_the_locked_packages_are_installed(
    version: str, wheel: Path, tmp_path: Path
) -> None:
    programs = tmp_path / "venv" / "bin"
    # This pip serves all, and nothing is compiled that is not run.
    wheels.run(wheels.python(version), "-m", "venv", "--without-pip", tmp_path / "venv")
    pip = (sys.executable, "-m", "pip", "--python", programs / "python")
    install = (*pip, "install", "--quiet", "--no-compile")
    wheels.run(*install, "--require-hashes", "--requirement", ROOT / "requirements.lock")
    wheels.run(*install, "--no-deps", "--no-index", wheel)
    assert wheels.run(programs / "jobx", "--version") == f"jobx {jobx.__version__}\n"
    for words in SETUP:
        wheels.run(programs / "jobx", *words, cwd=tmp_path)
    result = json.loads(wheels.run(programs / "jobx", *RUN, cwd=tmp_path))
    assert result["result"]["pairs"] == [["e", 1], ["h", 1], ["l", 2], ["o", 1]]
