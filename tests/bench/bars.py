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
    """The figure that JobX's own is divided by; of the same n where none is given."""

    peer: str
    work: str
    column: str
    n: int | None = None


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
            value = self._ratio(value, figure.n, figures)
        if value is None:
            return None
        is_reached = value <= self.limit if self.at_most else value >= self.limit
        sign = "≤" if self.at_most else "≥"
        mark = "[green]✓[/]" if is_reached else "[red]✗[/]"
        return f"{value:,.2f}{self.unit} (bar {sign} {self.limit:g}) {mark}"

    def _ratio(self, value: float, n: int, figures: Figures) -> float | None:
        baseline = self.baseline
        assert baseline is not None
        beside = n if baseline.n is None else baseline.n
        other = figures.get((baseline.peer, baseline.work, beside))
        return value / getattr(other, baseline.column) if other else None


_MILLION: Final = 1_000_000
BARS: Final = (
    Bar("http_one", "p50_ms", 0.5, True, "x ray's p50", Baseline("ray", "one", "p50_ms")),
    Bar("http_one", "p99_ms", 2.0, True, "x own p50", Baseline("jobx", "http_one", "p50_ms")),
    Bar("16", "per_s", 3.0, False, "x ray", Baseline("ray", "16", "per_s")),
    Bar("16", "per_s", 20.0, False, "x dbos", Baseline("dbos", "16", "per_s")),
    Bar("http_16", "per_s", 3.0, False, "x ray", Baseline("ray", "16", "per_s")),
    Bar("http_16", "per_s", 20.0, False, "x dbos", Baseline("dbos", "16", "per_s")),
    Bar("fanout", "per_s", 0.6, False, "x pool", Baseline("pool", "fanout", "per_s")),
    Bar(
        "fanout",
        "per_s",
        0.7,
        False,
        "x own 10,000",
        Baseline("jobx", "fanout", "per_s", 10_000),
        _MILLION,
    ),
    Bar("fanout", "rss_mb", 300.0, True, " MB", only_n=_MILLION),
    Bar("wordcount", "seconds", 1.3, True, "x pool", Baseline("pool", "wordcount", "seconds")),
    Bar(
        "wordcount_pairs",
        "seconds",
        1.3,
        True,
        "x pool",
        Baseline("pool", "wordcount_pairs", "seconds"),
    ),
    Bar("reduce_keys", "rss_mb", 512.0, True, " MB"),
    Bar("idle", "rss_mb", 80.0, True, " MB"),
    Bar("idle", "cpu_percent", 1.0, True, " % CPU"),
)
