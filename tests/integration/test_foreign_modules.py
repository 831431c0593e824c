"""JobX, started in a folder with modules of well-known names, imports none of them."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.authoring import ANSWER, WORKFLOW, define
from tests.support.served import START_S

#: As the installed command runs: -P leaves out the current folder, as its own folder would.
JOBX = [sys.executable, "-P", "-m", "jobx.tools.cli"]
HANDLER = '"""A mapper.\n**\nhandler_type: mapper\n"""\nyield MrConfigureToReturn()\nyield 1, 2\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which every module that might be imported leaves a mark when it is."""
    folder = tmp_path / "current"
    folder.mkdir()
    mark = f"open({str(tmp_path / 'imported')!r}, 'a').write(__file__ + '\\n')\n"
    names = {name for name in sys.stdlib_module_names if name != "__main__"}
    for packages in importlib.metadata.packages_distributions():
        names.update({packages} - {""})
    for name in names | {"uvloop", "sitecustomize", "usercustomize", "jobx"}:
        if name.isidentifier():
            (folder / f"{name}.py").write_text(mark)
    (folder / "gunicorn.conf.py").write_text(mark)
    return folder


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    define(tmp_path / "d", {"answer": ANSWER}, {"answer": ("answer", "sum")})
    return tmp_path / "d"


def imported(folder: Path) -> list[str]:
    mark = folder.parent / "imported"
    return mark.read_text().splitlines() if mark.exists() else []


def environ(**more: str) -> dict[str, str]:
    return {**{k: v for k, v in os.environ.items() if k != "PYTHONPATH"}, **more}


def test_modules_of_the_folder_leave_a_mark(folder: Path) -> None:
    subprocess.run([sys.executable, "-c", "import jobx"], cwd=folder, env=environ(), check=False)
    assert imported(folder)


def test_serve_imports_none(folder: Path, data_dir: Path) -> None:
    command = [*JOBX, "serve", "--data", str(data_dir), "--bind", "127.0.0.1:0"]
    with subprocess.Popen(
        [*command, "--executors", "1"], cwd=folder, env=environ(), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().split("//")[1].split()[0].rpartition(":")[2])
            asked = [*JOBX, "run", f"{WORKFLOW}/answer", "--data", str(data_dir)]
            done = subprocess.run(asked, cwd=folder, env=environ(), capture_output=True, check=True)
            assert json.loads(done.stdout)["result"]["pairs"] == [["answer", 42]], port
        finally:
            process.terminate()
            process.wait(START_S)
    assert imported(folder) == []


def test_run_imports_none(folder: Path, data_dir: Path) -> None:
    command = [*JOBX, "run", f"{WORKFLOW}/answer", "--data", str(data_dir), "--executors", "1"]
    done = subprocess.run(command, cwd=folder, env=environ(), capture_output=True, check=True)
    assert json.loads(done.stdout)["result"]["pairs"] == [["answer", 42]]
    assert imported(folder) == []


def test_handler_test_imports_none(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "handler.py").write_text(HANDLER)
    command = [*JOBX, "handler", "test", str(tmp_path / "handler.py")]
    done = subprocess.run(
        command, cwd=folder, env=environ(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert imported(folder) == []
