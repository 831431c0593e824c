"""Every command that README, or that of an example, shows is run, and what it prints compared."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import dist
from pathlib import Path

import pytest
from click.testing import CliRunner

from jobx.tools.cli import main
from tests.support.processes import running
from tests.support.services import need

EXAMPLES = Path(__file__).parents[2] / "examples"
SERVED = "http://127.0.0.1:8080"
#: Workflows that README and the quickstart create.
SHOWN = ("wordcount", "texts")
MODULES = {"thumbnails": "PIL"}
ENOUGH_S = 60
#: Commands that work on the store alone are called in this process: a new one takes a second.
QUICK = re.compile(r"jobx (init|apply|fs) ")
JOBX = ("-m", "jobx.tools.cli")

#: Runs a command and returns what it prints.
Shell = Callable[[str], str]


def shown(readme: Path) -> Iterator[tuple[str, str]]:
    """Yield the commands of a document and what it says they print."""
    return commands_in(readme.read_text(encoding="utf-8"))


def commands_in(text: str) -> Iterator[tuple[str, str]]:
    """Yield the commands of a text and what it says they print."""
    for block in re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = step.split("\n")
            if lines[0].endswith("<<'END'"):
                end = lines.index("END") + 1
            else:
                end = next(n for n, line in enumerate(lines) if not line.endswith("\\")) + 1
            yield "\n".join(lines[:end]), "\n".join(lines[end:])


READMES = [
    EXAMPLES.parent / "README.md",
    *(path for path in sorted(EXAMPLES.glob("*/README.md")) if list(shown(path))),
]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Run commands where ``examples`` is, and ``jobx`` is on the path, in a folder of the test."""
    (tmp_path / "examples").symlink_to(EXAMPLES)
    (tmp_path / "files").mkdir()
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, words in {"jobx": " ".join(JOBX), "python": ""}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("JOBX_NODE_DATA_DIR", str(tmp_path / "d"))
    monkeypatch.setenv("JOBX_NODE_EXECUTORS", "1")
    monkeypatch.setenv("JOBX_FILES_URL", f"file://{tmp_path / 'files'}")

    monkeypatch.chdir(tmp_path)

    def run(command: str) -> str:
        if QUICK.match(command):
            result = CliRunner().invoke(main, shlex.split(command)[1:])
            assert result.exit_code == 0, f"$ {command}\n{result.output}"
            return result.stdout
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            capture_output=True,
            text=True,
            timeout=ENOUGH_S,
            check=False,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        return done.stdout

    return run


@contextmanager
def serving() -> Iterator[str]:
    with running([*JOBX, "serve", "--bind", "127.0.0.1:0"]) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[1]


@pytest.mark.parametrize(
    "readme", READMES, ids=lambda path: str(path.relative_to(EXAMPLES.parent).parent)
)
def test_example_prints_what_its_readme_shows(readme: Path, shell: Shell) -> None:
    name = readme.parent.name
    if name in MODULES:
        need(name, "dev", MODULES[name])
    for command, output in shown(readme):
        if SERVED in command:
            with serving() as url:
                printed = shell(command.replace(SERVED, url))
        else:
            printed = shell(command)
        assert [line.rstrip() for line in printed.splitlines()] == output.splitlines(), command


def section(text: str, heading: str) -> str:
    """Return one section of a document."""
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


#: Parts of the quickstart that need no server; of the last one, the first block.
ALONE = (
    *("Three handlers", "A workflow", "A request, without a server", "A failure, and its repair"),
    "Kill it",
)
#: Commands that also work on the store alone.
LOOKS = re.compile(r"jobx (apply|request|invocation) ")
REQUEST = re.compile(r"\b[0-9a-z]{26}\b")
#: What differs from run to run, by what stands for it.
VARIES = {
    REQUEST: "ID",
    re.compile(r"\b[\d.]+ (µs|ms|s)\b"): "TIME",
    re.compile(r"^(duration_s +)[\d.e-]+$"): r"\1TIME",
    re.compile(r"\d of 5 mappers"): "N of 5 mappers",
    re.compile(r"'[^']*/(\w+\.txt)'"): r"'\1'",  # a long one is cut in the middle
}


def masked(text: str, folder: str) -> list[str]:
    """Return lines without what differs from run to run."""
    found = []
    for line in map(str.rstrip, text.replace(folder, "DIR").rstrip().splitlines()):
        for pattern, stands_for in VARIES.items():
            line = pattern.sub(stands_for, line)  # noqa: PLW2901 - step by step
        found.append(line)
    return found


def fits(printed: list[str], shown: list[str]) -> bool:
    """Tell whether lines are those that a document shows; its ``…`` stands for any."""
    if "…" not in shown:
        return printed == shown
    at = shown.index("…")
    rest = shown[at + 1 :]
    if printed[:at] != shown[:at]:
        return False
    return any(fits(printed[start:], rest) for start in range(at, len(printed) + 1))


def test_quickstart_prints_what_it_shows(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")  # paths of a test are long
    text = (EXAMPLES.parent / "docs" / "quickstart.md").read_text(encoding="utf-8")
    parts = [section(text, heading) for heading in ALONE]
    parts[-1] = parts[-1].partition("```\n\n")[0] + "```\n"
    for command, output in (step for part in parts for step in commands_in(part)):
        command = REQUEST.sub("latest", command)  # noqa: PLW2901 - the one that has just run
        if LOOKS.match(command):
            printed = CliRunner().invoke(main, shlex.split(command)[1:]).output
        else:
            printed = shell(f"{{ {command}\n}} 2>&1 || true")
        told, expected = masked(printed, str(tmp_path)), masked(output, "/home/you/jobx-demo")
        assert fits(told, expected), "\n".join((command, *told))


def test_every_example_is_in_the_index() -> None:
    index = (EXAMPLES / "README.md").read_text(encoding="utf-8")

    assert [
        path for path in EXAMPLES.glob("*/README.md") if f"{path.parent.name}/" not in index
    ] == []


def test_every_example_has_a_workflow_of_its_own_name() -> None:
    names = [
        re.match(r"workflow: (\S+)\n", path.read_text(encoding="utf-8"))
        for path in EXAMPLES.glob("*/workflow.yaml")
    ]
    found = [match[1] for match in names if match]
    assert len(found) == len({*EXAMPLES.glob("*/README.md")})
    assert len({*found, *SHOWN}) == len(found) + len(SHOWN)


def test_centres_of_kmeans_are_those_of_a_plain_loop() -> None:
    program = runpy.run_path(str(EXAMPLES / "kmeans" / "iterate.py"))
    points = program["make_points"]()
    before: list[list[float]] = []
    centres = points[: len(program["CLUSTERS"])]
    while before != centres:
        before, centres = centres, plain_round(points, centres)

    _, output = list(shown(EXAMPLES / "kmeans" / "README.md"))[-1]
    found = output.splitlines()[-len(centres) :]
    assert found == [f"{x:.4f} {y:.4f}" for x, y in sorted(centres)]


def plain_round(points: list[list[float]], centres: list[list[float]]) -> list[list[float]]:
    """Return the means of the points that are nearest to each centre."""
    groups: dict[int, list[list[float]]] = {number: [] for number in range(len(centres))}
    for point in points:
        distances = [dist(point, centre) for centre in centres]
        groups[distances.index(min(distances))].append(point)
    return [
        [sum(axis) / len(axis) for axis in zip(*group, strict=True)] for group in groups.values()
    ]
