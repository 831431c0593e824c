from __future__ import annotations

from bisect import bisect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.handlers.pairs import ascending
from jobx.handlers.pairs.ascending import Ascending
from jobx.handlers.pairs.checking import SMALL_INT

#: Keys of one type, each of which ascends from the one before.
KEYS = st.one_of(st.sets(st.integers(-9, 9)), st.sets(st.text("ab", max_size=3))).map(sorted)
NEITHER = [("b", 2), [("c"), 1], ("c", [1]), ("c", 2.5, 1), ("é", 1), (1, 1), ("c" * 200, 1)]


def _of(pairs: list[Any]) -> Ascending:
    held = Ascending()
    assert held.take(iter(pairs)) is None
    return held


def _pairs(held: Ascending) -> list[Any]:
    return list(zip(*held.in_order(), strict=True))


@given(st.lists(st.sets(st.integers(0, 40)).map(sorted), max_size=5))
def test_parts_are_merged_in_the_order_of_keys_and_then_of_parts(parts: list[list[int]]) -> None:
    pairs = [[(key, number) for key in keys] for number, keys in enumerate(parts)]
    held = Ascending(*[part for one in pairs for part in _of(one).parts])
    together = [pair for one in pairs for pair in one]
    assert _pairs(held) == sorted(together, key=lambda pair: pair[0])
    assert list(zip(*held.columns(), strict=True)) == together
    assert len(held) == len(together)


@pytest.mark.parametrize("count", [10, 100], ids=["in rounds", "at once"])
def test_long_parts_are_merged(count: int) -> None:
    parts = [([*range(n, 30_000, count)], [n] * (30_000 // count)) for n in range(count)]
    assert _pairs(Ascending(*parts)) == [(key, key % count) for key in range(30_000)]


@pytest.mark.interpreted
@pytest.mark.parametrize("count", [16, 300])
def test_parts_whose_keys_do_not_overlap_are_not_looked_at_for_each_key(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Any] = []
    monkeypatch.setattr(ascending, "bisect_right", lambda *at: looked.append(at) or bisect(*at))
    parts = [([*range(n, n + 300)], [None] * 300) for n in range(0, 300 * count, 300)]
    assert _pairs(Ascending(*parts)) == [(key, None) for key in range(300 * count)]
    assert len(looked) <= 300 * count / 10


@given(KEYS)
def test_keys_that_ascend_are_taken_as_they_are(keys: list[Any]) -> None:
    held = _of([(key, None) for key in keys])
    assert held.parts == ([(keys, [None] * len(keys))] if keys else [])
    assert held.kind is (type(keys[0]) if keys else None)


@pytest.mark.parametrize("other", NEITHER, ids=repr)
def test_what_does_not_ascend_or_is_not_plain_is_left_with_all_behind_it(other: object) -> None:
    held = Ascending()
    rest = held.take(iter([("a", 1), ("b", True), other, ("d", 1)]))
    assert held.parts == [(["a", "b"], [1, True])]
    assert list(rest or ()) == [other, ("d", 1)]


@pytest.mark.parametrize("number", [SMALL_INT - 1, 1 - SMALL_INT])
def test_integers_of_sixty_bits_are_plain(number: int) -> None:
    assert _of([(number, number)]).parts == [([number], [number])]


@pytest.mark.parametrize("pair", [(1 << 60, 0), (-1 << 60, 0), (1, 1 << 60), (1, -1 << 64)])
def test_longer_integers_are_not_plain(pair: tuple[int, int]) -> None:
    held = Ascending()
    assert list(held.take(iter([pair])) or ()) == [pair]
    assert not held.parts


def test_later_pairs_go_on_behind_those_that_are_there() -> None:
    held = _of([("a", 1)])
    assert held.take(iter([("b", 2)])) is None
    assert list(held.take(iter([("b", 3)])) or ()) == [("b", 3)]
    assert held.parts == [(["a", "b"], [1, 2])]
