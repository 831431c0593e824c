from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from jobx import scope
from jobx.handlers.scope.names import Scope
from jobx.testing import run_handler

MODULE = '''"""
Counts.
**
handler_type: mapper
argument_spec:
  - [text, str]
"""
from jobx.scope import INVOCATION, LOG, PRINT, S_SET, Return


def handler(text):
    yield Return()
    LOG.info("counting")
    PRINT("printed")
    S_SET("seen", INVOCATION.id)
    yield text, 1
'''
BARE = '''"""
Adds up.
**
handler_type: reducer
"""
from jobx.scope import S_GET, results

for key, values in results:
    yield key, [S_GET("seen"), sum(values)]
'''
PURE = MODULE.replace('    S_SET("seen", INVOCATION.id)\n', "")


def _write(folder: Path, text: str) -> Path:
    path = folder / "count.py"
    path.write_text(text)
    return path


def _import(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("count", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_name_of_a_handler_can_be_imported() -> None:
    assert set(Scope().reserved) | {"arguments", "results"} == set(scope.__all__)


def test_an_imported_name_is_that_of_the_handler(tmp_path: Path) -> None:
    result = run_handler(_write(tmp_path, MODULE), arguments={"text": "a"})

    assert (result.pairs, result.session) == ([("a", 1)], {"seen": "m0"})
    assert "counting" in result.output
    assert "printed" in result.output


def test_a_bare_handler_may_import_what_it_works_on(tmp_path: Path) -> None:
    path = _write(tmp_path, BARE)
    result = run_handler(path, results=[("a", [1, 2])], session={"seen": "m7"})

    assert result.pairs == [("a", ["m7", 3])]


def test_a_handler_is_a_module_for_a_test(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    module = _import(_write(tmp_path, PURE))
    with caplog.at_level(logging.INFO):
        pairs = list(module.handler("a"))

    assert isinstance(pairs[0], scope.Return)
    assert pairs[1:] == [("a", 1)]
    assert caplog.messages == ["counting"]
    assert capsys.readouterr().out == "printed\n"


def test_what_needs_an_invocation_says_so_without_one() -> None:
    with pytest.raises(RuntimeError, match="no invocation is running"):
        scope.S_SET("a", 1)
    with pytest.raises(AttributeError, match="running handler only"):
        _ = scope.results


def test_a_name_that_is_none_is_refused_with_those_there_are() -> None:
    with pytest.raises(AttributeError, match="LOGG; it has EMAIL, FS"):
        _ = scope.LOGG  # type: ignore[attr-defined]  # what it is about


def test_a_linter_knows_the_names(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", _write(tmp_path, MODULE)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout
