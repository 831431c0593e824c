"""The table of all figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from tests.bench.bars import BARS, Figures
from tests.bench.figures import Figure
from tests.bench.works import WORKS

TITLES = {
    "one": "one request, p50 / p99 ms",
    "http_one": "one POST, p50 / p99 ms",
    "16": "16 clients, requests/s",
    "http_16": "16 clients with POST, requests/s",
    "argument_8mb": "POST with a large argument, MB, p50 / p99 ms",
    "result_8mb": "POST with a large result, MB, p50 / p99 ms",
    "first_post": "first POST to each workflow, p50 / p99 ms",
    "fanout": "fan-out, invocations/s",
    "wordcount": "word count, MB, counted in the mapper, s",
    "wordcount_pairs": "word count, MB, one pair a word, s",
    "reduce_keys": "reduce distinct keys, s",
    "idle": "idle node",
}


def draw(measured: Sequence[Figure], wanted: Sequence[str]) -> Table:
    """Return a table: a row for what some of the peers did, a column for JobX and each of them."""
    figures = {(f.peer, f.work, f.n): f for f in measured}
    shown = dict.fromkeys(("jobx", *wanted))
    peers = [peer for peer in shown if any(f.peer == peer for f in measured)]
    table = Table("work", "n", *peers, "JobX to the bar", show_lines=True)
    for column in table.columns[1:-1]:
        column.justify = "right"
    for work, n in _rows([figure for figure in measured if figure.peer in wanted]):
        cells = [_cell(figures.get((peer, work, n))) for peer in peers]
        table.add_row(TITLES[work], f"{n:,}" if n else "", *cells, _bars(work, n, figures))
    return table


def command(
    rows: Iterable[str],
    measure: Callable[[Path, list[str], bool], Iterator[Figure]],
    draw: Callable[[list[Figure]], Table],
    missing: Callable[[], Sequence[str]] = tuple,
) -> click.Command:
    """Return a command that measures rows and draws their table.

    Args:
        rows: Their names.
        measure: Yields the figures of some, below a folder; in small sizes if that is asked.
        draw: Makes the table.
        missing: Returns which needed programs are not there.
    """

    @click.command()
    @click.argument("wanted", nargs=-1, type=click.Choice(list(rows)))
    @click.option("--quick", is_flag=True, help="Small sizes: to see that it works.")
    @click.option("--folder", type=click.Path(path_type=Path), default="build/bench")
    def main(wanted: tuple[str, ...], quick: bool, folder: Path) -> None:
        """Print figures as they come, then the table."""
        if lacking := missing():
            raise click.ClickException(f"it needs {' and '.join(lacking)}")
        found = []
        for figure in measure(folder.absolute(), list(wanted or rows), quick):
            click.echo(figure.to_json())
            found.append(figure)
        Console(width=140).print(draw(found))

    return main


def _rows(measured: Sequence[Figure]) -> list[tuple[str, int]]:
    works = list(WORKS)
    return sorted({(f.work, f.n) for f in measured}, key=lambda row: (works.index(row[0]), row[1]))


def _bars(work: str, n: int, figures: Figures) -> str:
    own = figures.get(("jobx", work, n))
    verdicts = [bar.verdict(own, figures) for bar in BARS] if own else []
    return "\n".join(filter(None, verdicts))


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return ""
    lines = [CELLS[figure.work](figure)]
    if figure.rss_mb is not None and figure.work != "idle":
        lines.append(f"{figure.rss_mb:.0f} MB")
    if figure.disk_mb:
        lines.append(f"{figure.disk_mb:.0f} MB on disk")
    return "\n".join(lines)


def _latency(figure: Figure) -> str:
    return f"{figure.p50_ms:.2f} / {figure.p99_ms:.2f}"


def _rate(figure: Figure) -> str:
    return f"{figure.per_s:,.0f}"


def _seconds(figure: Figure) -> str:
    return f"{figure.seconds:.2f}"


def _idle(figure: Figure) -> str:
    return f"{figure.rss_mb:.0f} MB, {figure.cpu_percent:.1f} %"


CELLS: Mapping[str, Callable[[Figure], str]] = {
    "one": _latency,
    "http_one": _latency,
    "16": _rate,
    "http_16": _rate,
    "argument_8mb": _latency,
    "result_8mb": _latency,
    "first_post": _latency,
    "fanout": _rate,
    "wordcount": _seconds,
    "wordcount_pairs": _seconds,
    "reduce_keys": _seconds,
    "idle": _idle,
}
