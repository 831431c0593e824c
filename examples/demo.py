"""Counts the words of Python's standard library with JobX, and checks the answer.

    make demo      or      python -m examples.demo

It does what a user would do: starts `jobx serve`, creates the workflow of examples/wordcount with
the `jobx` command, asks for the job over HTTP, watches it, reads the result, looks at the trace.
Everything is in a temporary folder and gone at the end. Exits with 0 only if every count is that
of a plain Counter.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.request import Request, urlopen

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

SETUP = ("apply", str(Path(__file__).parent / "wordcount"))
JOBX = (sys.executable, "-m", "jobx.tools.cli")
ROOT = Path(sysconfig.get_path("stdlib"))

TOP = 10
TRACE_LIMIT = 6
POLL_S = 0.2
ANSWER_S = 30.0
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
#: Draining is bounded (15 s with default settings); this is only for a serve that breaks that.
STOP_S = 30.0

console = Console(highlight=False, soft_wrap=True)


def main() -> int:
    """Run the demo; return the exit code."""
    with tempfile.TemporaryDirectory(prefix="jobx-demo-") as folder:
        environ = demo_environ(folder)
        jobx(SETUP, environ)
        with serving(environ) as url:
            request = finished(url, submit(url))
            if request["state"] != "succeeded":
                console.print(f"the request has {request['state']}: {request['failure']}")
                return 1
            counts = result(url, request["request_id"])
            show(request, counts)
            limit = ("--limit", str(TRACE_LIMIT))
            jobx(("request", "trace", "demo", request["request_id"], *limit), environ)
    return check(counts)


def demo_environ(folder: str) -> dict[str, str]:
    """Return the environment for commands: its own data folder, no settings of the user."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("JOBX_")}
    return inherited | {"JOBX_NODE_DATA_DIR": folder, "JOBX_NODE_LOG_LEVEL": "error"}


def jobx(words: tuple[str, ...], environ: Mapping[str, str]) -> None:
    """Run a command of `jobx`, as a user would."""
    console.print(f"[bold]$ jobx {shlex.join(words)}[/bold]")
    subprocess.run([*JOBX, *words], env=environ, check=True)


@contextmanager
def serving(environ: Mapping[str, str]) -> Iterator[str]:
    """Run `jobx serve` on a free port for the length of a `with`; give its address."""
    words = ("serve", "--bind", "127.0.0.1:0")
    console.print(f"[bold]$ jobx {shlex.join(words)} &[/bold]")
    with subprocess.Popen([*JOBX, *words], env=environ, stdout=subprocess.PIPE, text=True) as serve:
        try:
            line = serve.stdout.readline() if serve.stdout else ""
            console.print(line.rstrip())
            found = re.match(r"serving (\S+)", line)
            if found is None:
                raise SystemExit("jobx serve did not start")
            yield found[1]
        finally:
            stop(serve)


def stop(serve: subprocess.Popen[str]) -> None:
    """Stop `jobx serve` with SIGTERM and see that nothing of it is left."""
    started = children(serve.pid)
    serve.terminate()
    try:
        code = serve.wait(STOP_S)
    except BaseException:  # a second Ctrl-C, or it does not stop
        serve.kill()
        raise
    left = [pid for pid in started if Path(f"/proc/{pid}").exists()]
    console.print(f"stopped {len(started) + 1} processes, exit code {code}, {len(left)} left")


def children(pid: int) -> list[int]:
    """Return the ids of all processes below a process."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return []
    return [below for child in map(int, listed) for below in (child, *children(child))]


def submit(url: str) -> str:
    """Ask for the job without waiting for its result; return the request's path."""
    console.print(f"POST {url}/job/demo/wordcount for all Python files below {ROOT}")
    body = json.dumps({"arguments": {"root": str(ROOT)}}).encode()
    headers = {"Content-Type": "application/json", "Prefer": "respond-async"}
    with answer(f"{url}/job/demo/wordcount", headers, body) as response:
        return str(response.headers["Location"])


def finished(url: str, path: str) -> dict[str, Any]:
    """Show how far a request is until it has ended; return it."""
    columns = (TextColumn("files"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        line = bar.add_task("files", total=None)
        while True:
            with answer(url + path) as response:
                request: dict[str, Any] = json.load(response)
            counts = request["counts"]
            bar.update(line, total=counts["mapped"], completed=counts["finished"])
            if request["state"] != "running":
                return request
            time.sleep(POLL_S)


def result(url: str, request_id: str) -> dict[str, int]:
    """Read the result, which is streamed: a pair a line."""
    address = f"{url}/request/demo/{request_id}/result"
    with answer(address, {"Accept": "application/x-ndjson"}) as lines:
        return dict(map(json.loads, lines))


def answer(
    address: str, headers: Mapping[str, str] = NO_HEADERS, body: bytes | None = None
) -> HTTPResponse:
    """Ask with GET, or with POST when there is a body; what is answered is still to be read."""
    response: HTTPResponse = urlopen(Request(address, body, dict(headers)), timeout=ANSWER_S)
    return response


def show(request: Mapping[str, Any], counts: dict[str, int]) -> None:
    """Print the most frequent words, and what it took to count them."""
    table = Table("word", "count", box=None)
    for word, count in Counter(counts).most_common(TOP):
        table.add_row(word, f"{count:,}")
    console.print(table)
    spent_s = request["finished_at"] - request["accepted_at"]
    invocations = request["counts"]["invocations"]
    console.print(
        f"{sum(counts.values()):,} words, {len(counts):,} different ones; "
        f"{invocations:,} invocations in {spent_s:.2f} s ({invocations / spent_s:,.0f} a second)"
    )


def check(counts: Mapping[str, int]) -> int:
    """Compare with a plain Counter; return the exit code."""
    started = time.monotonic()
    expected = plain_count()
    spent_s = time.monotonic() - started
    wrong = [word for word in {*expected, *counts} if expected[word] != counts.get(word)]
    if wrong:
        console.print(f"[red]{len(wrong)} counts differ from a plain Counter[/red]: {wrong[:5]}")
        return 1
    console.print(f"[green]every count is that of a plain Counter[/green] ({spent_s:.2f} s)")
    return 0


def plain_count() -> Counter[str]:
    """Count the same words in one loop."""
    counter: Counter[str] = Counter()
    for path in ROOT.rglob("*.py"):
        if {"site-packages", "dist-packages"}.isdisjoint(path.parts):
            text = path.read_text(encoding="utf-8", errors="replace")
            counter.update(word.lower() for word in re.findall(r"[A-Za-z']+", text))
    return counter


def interrupted() -> int:
    """Say that somebody pressed Ctrl-C; return the exit code."""
    console.print("interrupted")
    return 128 + signal.SIGINT


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(interrupted())
