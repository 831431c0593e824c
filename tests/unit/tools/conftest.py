from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jobx.tools.cli import main

Jobx = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "jobx-data"


@pytest.fixture
def jobx(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Jobx:
    """Run a command on a data folder of the test's own."""
    monkeypatch.setenv("JOBX_NODE_DATA_DIR", str(folder))
    monkeypatch.delenv("JOBX_CONFIG", raising=False)

    def invoke(*words: str, stdin: str | bytes = "") -> Result:
        return CliRunner().invoke(main, words, input=stdin)

    return invoke
