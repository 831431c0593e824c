"""Works of the benchmark: each peer of each has a module, and each work is measured and shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import measure, table, works

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("work", works.WORKS)
def test_a_work_has_a_module_for_each_who_does_it(work: str) -> None:
    for peer in works.WORKS[work]:
        module = works.module(peer, work)
        assert (ROOT / f"{module.replace('.', '/')}.py").exists(), module


def test_each_work_is_measured() -> None:
    assert measure.MEASURES.keys() == works.WORKS.keys()


def test_each_figure_has_a_row() -> None:
    assert table.TITLES.keys() == table.CELLS.keys() == works.WORKS.keys() - {"wide_fanout"}


def test_everybody_does_a_work() -> None:
    everybody = {peer for peers in works.WORKS.values() for peer in peers}
    assert everybody == set(works.EVERYBODY)
