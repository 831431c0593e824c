"""What looks into a handler while it runs: Python's debugger at the terminal, and coverage."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobx import meanings

MAX_S = 120.0
MAIN = "from jobx.tools.cli import main; main()"
SOURCE = '''"""
Looked into.
**
handler_type: mapper
argument_spec: [[n, int]]
"""
import json
import pdb


def parse(text):
    return json.loads(text)


def handler(n):
    yield Return()
    LOG.info("logged")
    if n == 1:
        breakpoint()
    if n == 2:
        pdb.set_trace()
    answer = n + 41
    yield "answer", answer
    if n == 3:
        parse("{")
    if n == 4:
        yield "set", {n}
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "look.py"
    file.write_text(SOURCE)
    return file


def debug(file: Path, typed: str, *words: str) -> tuple[int, str]:
    """Run ``jobx handler test --pdb`` with what is typed; return its code and what it shows."""
    command = [sys.executable, "-c", MAIN, "handler", "test", str(file), "--pdb", *words]
    done = subprocess.run(
        command,
        input=typed,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=MAX_S,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(("n", "steps"), [(1, 2), (2, 1)])
def test_a_breakpoint_opens_the_debugger(n: int, steps: int, file: Path) -> None:
    code, shown = debug(file, "p n\n" + "n\n" * steps + "p answer\nc\n", "-a", f"n={n}")
    assert (code, f"(Pdb) {n}\n" in shown, f"(Pdb) {n + 41}\n" in shown) == (0, True, True)
    assert f'["answer", {n + 41}]' in shown
    assert shown.index("trial/m0: logged") < shown.index(f"{file}(") < shown.index("(Pdb)")


def test_a_failure_opens_the_debugger_where_it_happened(file: Path) -> None:
    code, shown = debug(file, "up\nup\nup\np text\nup\np answer\nq\n", "-a", "n=3")
    assert code == 1
    assert "'{'\n" in shown
    assert "(Pdb) 44\n" in shown
    assert "failed: json.decoder.JSONDecodeError" in shown


def test_a_failure_without_a_line_of_the_handler_is_told(file: Path) -> None:
    code, shown = debug(file, "", "-a", "n=4")
    assert (code, "a set cannot be a value" in shown) == (1, True)
    assert "nothing to look at" in shown


def test_a_debugger_that_is_left_fails_the_run(file: Path) -> None:
    code, shown = debug(file, "q\n", "-a", "n=1")
    assert (code, "the debugger was left" in shown) == (1, True)


@pytest.mark.parametrize(
    ("name", "words", "reason"),
    [("m.js", (), "this is javascript"), ("look.py", ("--json",), "leave out --json")],
)
def test_what_cannot_be_debugged_is_refused(
    name: str, words: tuple[str, ...], reason: str, file: Path
) -> None:
    script = "/**\n * **\n * handler_type: mapper\n */\nexport function* handler(args) { yield 1; }"
    (file.parent / "m.js").write_text(script)
    code, shown = debug(file.parent / name, "", *words)
    assert code == meanings.INVALID
    assert reason in shown


def test_coverage_counts_the_lines_that_a_handler_ran(file: Path) -> None:
    folder = file.parent
    (folder / ".coveragerc").write_text(
        "[run]\npatch = subprocess, fork, _exit\ninclude = */look.py"
    )
    (folder / "run.py").write_text(
        "from jobx.testing import run_handler\n"
        "assert run_handler('look.py', arguments={'n': 5}).pairs == [('answer', 46)]\n"
    )

    def coverage(*words: str) -> str:
        command = [sys.executable, "-m", "coverage", *words]
        environ = {name: text for name, text in os.environ.items() if "COV" not in name}
        done = subprocess.run(
            command, cwd=folder, env=environ, capture_output=True, timeout=MAX_S, check=True
        )
        return done.stdout.decode()

    coverage("run", "run.py")
    coverage("combine")
    report = coverage("report", "-m")
    assert "look.py" in report
    assert report.split("%")[1].split("\n")[0].strip() == "12, 19, 21, 25, 27"
