"""What one invocation costs in each language: a warm executor, a mapper that returns its pair.

``python -m tests.bench.languages`` prints it alone.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from shutil import which

from rich.console import Console
from rich.table import Table

from tests.bench.figures import Figure
from tests.bench.work import check
from tests.support import frames
from tests.support.executors import Executor, ExecutorHost
from tests.support.guests import FUEL, MEMORY_BYTES, PROGRAMS
from tests.support.languages import EXECUTABLE, JAVASCRIPT, LANGUAGES, WASM, Language

#: What a language needs to be measured.
_NEEDS = {JAVASCRIPT: lambda: which("node"), WASM: lambda: find_spec("wasmtime")}
_WARM_CALLS = 50
#: Bars: milliseconds that a warm invocation may take at the median.
BARS_MS = {JAVASCRIPT.name: 1.0, EXECUTABLE.name: 3.0}


def measure(calls: int = 2000) -> Iterator[Figure]:
    """Yield a figure for each language that can run here, work ``language_NAME``.

    Each call is a frame to a real executor and its answer, so what Python takes is what a frame
    takes; the rest is the language's.
    """
    config = {"programs": PROGRAMS, "wasm_fuel": FUEL, "wasm_memory_bytes": MEMORY_BYTES}
    with (
        tempfile.TemporaryDirectory() as folder,
        ExecutorHost(Path(folder) / "executors", memory_bytes=4 << 30, **config) as node,
    ):
        for language in LANGUAGES:
            if _NEEDS.get(language, lambda: True)():
                yield _figure(node.spawn(), language, Path(folder), calls)


def draw(measured: Iterable[Figure]) -> Table:
    """Return the table: a row a language."""
    table = Table("language", "p50 ms", "p99 ms", "to the bar", title="One warm invocation")
    for figure in measured:
        name = figure.work.removeprefix("language_")
        bar = BARS_MS.get(name)
        mark = "[green]✓[/]" if bar and (figure.p50_ms or 0) <= bar else "[red]✗[/]"
        verdict = f"bar ≤ {bar:g} {mark}" if bar else ""
        table.add_row(name, f"{figure.p50_ms:.3f}", f"{figure.p99_ms:.3f}", verdict)
    return table


def _figure(executor: Executor, language: Language, folder: Path, calls: int) -> Figure:
    load = frames.load("m", "mapper", language.echo, source_type=language.name)
    executor.frames.send(load)
    for _ in range(_WARM_CALLS):
        _call_s(executor, folder)
    taken = sorted(_call_s(executor, folder) for _ in range(calls))
    return Figure(
        peer="jobx",
        work=f"language_{language.name}",
        n=calls,
        p50_ms=1e3 * taken[calls // 2],
        p99_ms=1e3 * taken[calls * 99 // 100],
        per_s=calls / sum(taken),
    )


def _call_s(executor: Executor, folder: Path) -> float:
    frame = frames.map_(folder, [[1, 2]], reducer=None)
    started = time.perf_counter()
    (segment,) = executor.ask(frame)["segments"]
    seconds = time.perf_counter() - started
    check("the pair that was returned", frames.pairs(segment[3], folder), [(1, 2)])
    return seconds


def main() -> int:
    """Print the table; return the exit code."""
    Console().print(draw(measure()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
