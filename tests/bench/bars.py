"""What JobX is to reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from tests.bench.figures import Figure

#: Figures by peer, work and n.
Figures: TypeAlias = Mapping[tuple[str, str, int], Figure]


@dataclass(frozen=True, slots=True)
class Baseline:
    """The figure that JobX's own is divided by; of the same n where none is given.

    Attributes:
        peer: Whose it is.
        work: What was done.
        column: The column of it.
        n: How much, if not as much as JobX's own.
        plus: Another figure, added to it.
    """

    peer: str
    work: str
    column: str
    n: int | None = None
    plus: Baseline | None = None

    def value(self, n: int, figures: Figures) -> float | None:
        """Return what a figure of an n is divided by, or None when that was not measured."""
        figure = figures.get((self.peer, self.work, n if self.n is None else self.n))
        value = getattr(figure, self.column) if figure else None
        if value is None or self.plus is None:
            return value
        more = self.plus.value(n, figures)
        return None if more is None else value + more


@dataclass(frozen=True, slots=True)
class Bar:
    """A bound of one column of one work, as it is or in proportion to another figure.

    Attributes:
        work: The work.
        column: The column of JobX's figure.
        limit: The bound.
        at_most: Whether it is an upper one.
        unit: What stands behind the number.
        baseline: What the column is divided by, if anything.
        only_n: The n that it holds for; None for every one that has a baseline.
    """

    work: str
    column: str
    limit: float
    at_most: bool
    unit: str
    baseline: Baseline | None = None
    only_n: int | None = None

    def verdict(self, figure: Figure, figures: Figures) -> str | None:
        """Return how JobX's figure stands to the bar, or None when that was not measured."""
        if self.work != figure.work or self.only_n not in (None, figure.n):
            return None
        value = getattr(figure, self.column)
        if self.baseline is not None:
            beside = self.baseline.value(figure.n, figures)
            value = value / beside if beside else None
        if value is None:
            return None
        is_reached = value <= self.limit if self.at_most else value >= self.limit
        sign = "≤" if self.at_most else "≥"
        mark = "[green]✓[/]" if is_reached else "[red]✗[/]"
        return f"{value:,.2f}{self.unit} (bar {sign} {self.limit:g}) {mark}"


_MILLION: Final = 1_000_000
_TEN_THOUSAND: Final = Baseline("jobx", "fanout", "per_s", 10_000)
_HELLO_AND_COMMIT: Final = Baseline(
    "hello", "http_one", "p50_ms", plus=Baseline("commit", "http_one", "p50_ms")
)
BARS: Final = (
    Bar("http_one", "p50_ms", 0.5, True, "x ray's p50", Baseline("ray", "one", "p50_ms")),
    Bar("http_one", "p99_ms", 1.4, True, "x own p50", Baseline("jobx", "http_one", "p50_ms")),
    Bar("http_one", "p50_ms", 2.0, True, "x hello and commit", _HELLO_AND_COMMIT),
    Bar("16", "per_s", 3.0, False, "x ray", Baseline("ray", "16", "per_s")),
    Bar("16", "per_s", 20.0, False, "x dbos", Baseline("dbos", "16", "per_s")),
    Bar("http_16", "per_s", 5.0, False, "x ray", Baseline("ray", "16", "per_s")),
    Bar("http_16", "per_s", 25.0, False, "x dbos", Baseline("dbos", "16", "per_s")),
    Bar("http_16", "per_s", 0.75, False, "x skeleton", Baseline("skeleton", "http_16", "per_s")),
    Bar("argument_8mb", "p50_ms", 5.0, True, "x copy", Baseline("copy", "argument_8mb", "p50_ms")),
    Bar("result_8mb", "p50_ms", 4.0, True, "x copy", Baseline("copy", "result_8mb", "p50_ms")),
    Bar("first_post", "p99_ms", 30.0, True, " ms"),
    Bar("fanout", "per_s", 1.0, False, "x pool", Baseline("pool", "fanout", "per_s")),
    *(
        Bar("fanout", "per_s", least, False, "x own 10,000", _TEN_THOUSAND, count)
        for least, count in ((0.7, _MILLION), (0.9, 10 * _MILLION))
    ),
    *(
        Bar("fanout", "rss_mb", most, True, " MB", only_n=count)
        for most, count in ((300.0, _MILLION), (250.0, 10 * _MILLION))
    ),
    Bar("wordcount", "seconds", 0.9, True, "x pool", Baseline("pool", "wordcount", "seconds")),
    Bar(
        "wordcount_pairs",
        "seconds",
        1.0,
        True,
        "x pool",
        Baseline("pool", "wordcount_pairs", "seconds"),
    ),
    Bar("reduce_keys", "seconds", 1.5, True, "x sort", Baseline("sort", "reduce_keys", "seconds")),
    Bar("reduce_keys", "rss_mb", 256.0, True, " MB"),
    Bar("idle", "rss_mb", 80.0, True, " MB"),
    Bar("idle", "cpu_percent", 1.0, True, " % CPU"),
)
