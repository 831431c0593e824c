"""Bars of the benchmark."""

from __future__ import annotations

import pytest

from tests.bench.bars import Bar, Baseline
from tests.bench.figures import Figure

OWN = Figure(peer="jobx", work="one", n=5, p50_ms=3.0)
HELLO = Figure(peer="hello", work="one", n=5, p50_ms=0.5)
COMMIT = Figure(peer="commit", work="one", n=5, p50_ms=1.0)
BOTH = Baseline("hello", "one", "p50_ms", plus=Baseline("commit", "one", "p50_ms"))


def verdict(*figures: Figure, limit: float = 2.0) -> str | None:
    bar = Bar("one", "p50_ms", limit, True, "x both", BOTH)
    return bar.verdict(OWN, {(f.peer, f.work, f.n): f for f in figures})


@pytest.mark.parametrize(("limit", "mark"), [(2.0, "✓"), (1.9, "✗")])
def test_a_figure_is_divided_by_the_sum_of_others(limit: float, mark: str) -> None:
    shown = verdict(HELLO, COMMIT, limit=limit)
    assert shown is not None and shown.startswith("2.00x both") and mark in shown


@pytest.mark.parametrize("lone", [HELLO, COMMIT])
def test_nothing_is_said_when_a_part_of_the_sum_was_not_measured(lone: Figure) -> None:
    assert verdict(lone) is None
