from __future__ import annotations

from typing import Any

import pytest

from jobx import values
from jobx.handlers.pairs.columns import BLOCK, Block, Packer, block_of
from jobx.handlers.pairs.ordering import Columns

COLUMNS: Columns = ["a", "b", "c"], [1, None, [2]]


def _found(body: bytes) -> list[Any]:
    unpacker = values.unpacker()
    unpacker.feed(body)
    return list(unpacker)


def test_pairs_are_packed_as_one_block() -> None:
    found = _found(Packer().pack(*COLUMNS))
    assert found == [[3, ["a", "b", "c"], [1, None, [2]]]]
    assert block_of(found) == Block(*COLUMNS, True)


def test_large_pairs_are_packed_as_items_and_so_are_those_after_them() -> None:
    packer = Packer()
    assert _found(packer.pack(["x"], ["y" * 40_000])) == [["x", ["y" * 40_000]]]
    assert _found(packer.pack(*COLUMNS)) == [["a", [1]], ["b", [None]], ["c", [[2]]]]


def test_nothing_is_packed_as_nothing() -> None:
    assert Packer().pack([], []) == b""


def test_blocks_of_any_length_are_packed_in_pieces() -> None:
    numbers = list(range(2 * BLOCK + 1))
    pairs = Block(numbers, numbers, True)
    pieces = list(Packer().packed(pairs))
    assert len(pieces) == 3
    assert block_of(_found(b"".join(pieces))) == pairs
    items = Block(["a", "b"], [[1, 2], [3]], False)
    assert block_of(_found(b"".join(Packer().packed(items)))) == items


def test_items_and_blocks_may_follow_each_other() -> None:
    found = [["a", [1, 2]], [2, ["b", "c"], [3, 4]], ["d", [5]]]
    assert block_of(found) == Block(["a", "b", "c", "d"], [[1, 2], [3], [4], [5]], False)


def test_a_block_gives_lists_or_pairs_of_either_form() -> None:
    pairs, items = Block(*COLUMNS, True), Block(["a"], [[1, 2]], False)
    assert list(pairs.items()) == [("a", [1]), ("b", [None]), ("c", [[2]])]
    assert list(pairs.pairs()) == [("a", 1), ("b", None), ("c", [2])]
    assert list(items.items()) == [("a", [1, 2])]
    assert list(items.pairs()) == [("a", 1), ("a", 2)]


@pytest.mark.parametrize(
    "found",
    [[1], [[]], [[1]], [[1, ["a"], [1], 4]], [[2, ["a"], [1]]], [[1, "a", [1]]], [[1, ["a"], 1]]],
    ids=repr,
)
def test_what_is_neither_an_item_nor_a_block_is_refused(found: list[Any]) -> None:
    for more in ([], [["k", [1]]]):
        with pytest.raises(ValueError, match="not an item"):
            block_of([*found, *more])
