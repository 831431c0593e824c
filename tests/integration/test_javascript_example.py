"""The example in JavaScript, set up and run as its README tells."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jobx.tools.cli import main
from tests.support.languages import JAVASCRIPT

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "javascript"
TEXT = EXAMPLE / "texts" / "sonnet.txt"


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return the commands of the README; the example is set up by all but the last."""
    JAVASCRIPT.need()
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("JOBX_NODE_DATA_DIR", str(tmp_path / "d"))
    monkeypatch.setenv("JOBX_NODE_EXECUTORS", "1")
    text = (EXAMPLE / "README.md").read_text().replace("$PWD", str(ROOT))
    commands = [shlex.split(line)[1:] for line in re.findall(r"^jobx .*$", text, re.MULTILINE)]
    for words in commands[:-1]:
        assert _run(words).exit_code == 0, words
    return commands


def _run(words: list[str]) -> Result:
    return CliRunner().invoke(main, words)


def test_word_lengths_are_those_that_python_counts(told: list[list[str]]) -> None:
    words = re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*'?", TEXT.read_text())
    run = [*told[-1][:-2], "--format", "ndjson"]
    result = _run(run)
    assert result.exit_code == 0, result.output
    assert dict(map(json.loads, result.stdout.splitlines())) == Counter(map(len, words))


def test_an_exception_names_the_line_of_the_handler(told: list[list[str]]) -> None:
    failed = _run(["run", "javascript/word_lengths", "-a", "path=/no/such/file"])
    assert "ENOENT" in failed.stderr
    request_id = failed.stderr.split()[2]
    assert (
        'File "<handler read_lines>", line 14'
        in _run(["request", "get", "javascript", request_id]).stdout
    )
