from __future__ import annotations

from typing import Any

from jobx.kv.sqlite import statements


def chunks(rows: int) -> list[tuple[str, list[Any]]]:
    return list(statements._chunks([*range(3 * rows)], "(?, ?, ?)"))


def test_statements_of_all_sizes_have_few_shapes() -> None:
    shapes = {marks for rows in range(1, 1000) for marks, _ in chunks(rows)}
    assert len(shapes) <= 32


def test_a_chunk_is_filled_up_with_a_quarter_of_its_rows_at_most() -> None:
    for rows in range(1, 257):
        ((marks, variables),) = chunks(rows)
        assert len(variables) == marks.count("?")
        assert 3 * rows <= len(variables) <= 3 * rows * 1.25


def test_chunks_hold_every_row() -> None:
    found = [number for _, variables in chunks(600) for number in variables]
    assert set(found) == set(range(3 * 600))
