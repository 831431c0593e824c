"""``jobx run --watch``: applies and runs anew when a file changes."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import Popen

import pytest
from click.testing import CliRunner

from jobx import meanings
from jobx.tools.cli import main
from tests.support.processes import alive, descendants, running
from tests.support.waiting import eventually

RUN = ("-m", "jobx.tools.cli", "run", "flow/count", "--format", "ndjson")
#: Reads lines until one has a text; returns it.
Until = Callable[[str], str]


def lines_of(process: Popen[str]) -> Until:
    """Read what a process writes, on both streams, without waiting for ever."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read(stream: Iterable[str]) -> None:
        with suppress(ValueError):  # the end of the test has closed it
            for line in stream:
                lines.put(line)

    for stream in (process.stdout, process.stderr):
        assert stream is not None
        threading.Thread(target=read, args=(stream,)).start()

    def until(text: str) -> str:
        while text not in (line := lines.get(timeout=60)):
            pass
        return line

    return until


def states(data: Path) -> str:
    """Return the states of all requests."""
    return CliRunner().invoke(main, ["request", "list", "flow", "--data", str(data)]).stdout


def change(path: Path, before: str, after: str) -> None:
    """Change a file at once, as editors do: who looks on sees it before or after, never empty."""
    made = path.parents[2] / "made"
    made.write_text(path.read_text().replace(before, after))
    made.replace(path)


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    """A workflow to start from, whose mapper may take long."""
    folder = tmp_path / "flow"
    CliRunner().invoke(main, ["init", str(folder)])
    change(folder / "handlers" / "count_words.py", "examples:", "time_limit_s: 3000\nexamples:")
    return folder


@contextmanager
def watched(flow: Path, data: Path) -> Iterator[tuple[Popen[str], Until]]:
    """Run a job of the workflow under watch, until it has shown its first result."""
    options = ("-a", "text=a a", "--watch", str(flow), "--data", str(data), "--executors", "1")
    with running([*RUN, *options]) as process:
        until = lines_of(process)
        until('["a", 2]')
        yield process, until


def test_each_change_is_applied_and_its_result_or_error_shown(flow: Path, tmp_path: Path) -> None:
    mapper, reducer = flow / "handlers" / "count_words.py", flow / "handlers" / "add_up.py"
    with watched(flow, tmp_path / "data") as (process, until):
        change(reducer, "sum(values)", "sum(values")
        assert "handlers/add_up.py: handler add_up: handler source, line 12" in until("jobx: ")
        change(reducer, "sum(values", "max(len(values), sum(values))")
        until('["a", 2]')
        hang = "    while text == 'a a':\n        pass\n    yield Return()\n"
        change(mapper, "    yield Return()\n", hang)
        eventually(lambda: "running" in states(tmp_path / "data"))
        change(mapper, hang, "    yield Return()\n")
        until('["a", 2]')
        below = descendants(process.pid)
        process.send_signal(signal.SIGINT)

        assert process.wait(60) == meanings.INTERRUPTED
    assert eventually(lambda: not any(map(alive, below)))


def test_sigterm_ends_a_watched_run_and_leaves_nothing(flow: Path, tmp_path: Path) -> None:
    with watched(flow, tmp_path / "data") as (process, _):
        below = descendants(process.pid)
        process.send_signal(signal.SIGTERM)

        assert process.wait(60) == meanings.INTERRUPTED
    assert eventually(lambda: not any(map(alive, below)))
