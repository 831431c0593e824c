from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx import values
from jobx.handlers.failures import Misuse
from jobx.handlers.pairs.checking import SLICE
from jobx.handlers.pairs.columns import BLOCK, Block, block_of
from jobx.handlers.pairs.held import Held

KEYS = st.one_of(st.integers(-3, 3), st.text("ab", max_size=2), st.booleans(), st.just(1.0))
PAIRS = st.lists(st.tuples(KEYS, st.integers(0, 99)), max_size=12)
ASCENDING = [(n, -n) for n in range(3 * BLOCK)]


def _held(pairs: Sequence[object]) -> Held:
    held, taken, is_more = Held(), 0, True
    rest = iter(pairs)
    while is_more:
        count, is_more = held.take(rest, taken)
        taken += count
    return held


def _grouped(pairs: Sequence[Any]) -> list[Any]:
    found: dict[Any, tuple[Any, list[Any]]] = {}
    for key, value in pairs:
        found.setdefault(values.key_identity(key), (key, []))[1].append(value)
    return list(found.values())


def _block(pairs: list[Any]) -> Block:
    return Block([key for key, _ in pairs], [value for _, value in pairs], True)


def _sorted(groups: Sequence[Any]) -> list[Any]:
    return sorted(groups, key=lambda group: values.sort_key(group[0]))


@given(PAIRS, st.sampled_from([0, 2, SLICE]))
def test_keys_arrive_in_their_order_whether_they_begin_by_ascending_or_not(
    pairs: list[Any], ascending: int
) -> None:
    pairs = [*((f"c{n:04}", n) for n in range(ascending)), *pairs]
    held = _held(pairs)
    assert repr(list(held)) == repr(_grouped(pairs))
    assert repr(list(held)) == repr(_grouped(pairs))
    assert repr(list(held.in_order().items())) == repr(_sorted(_grouped(pairs)))


@given(st.lists(PAIRS, max_size=4), st.booleans())
def test_what_is_absorbed_comes_behind_what_is_there(
    parts: list[list[Any]], is_sorted: bool
) -> None:
    parts = [_plain(part) if is_sorted else part for part in parts]
    held = Held()
    for part in parts:
        assert held.absorb(_held(part))
    expected = _grouped(list(chain.from_iterable(parts)))
    assert repr(list(held.in_order().items())) == repr(_sorted(expected))
    assert repr(_sorted(list(held))) == repr(_sorted(expected))


def _plain(part: list[Any]) -> list[Any]:
    return sorted({key: value for key, value in part if type(key) is int}.items())


def test_ascending_keys_of_several_parts_are_put_in_order() -> None:
    held = Held()
    for first in range(3):
        assert held.absorb(_held(ASCENDING[first::3]))
    assert held.in_order() == _block(ASCENDING)


@pytest.mark.parametrize("pairs", [ASCENDING, ASCENDING[::-1], [("b", 1), ("a", 2), ("b", 3)]])
def test_lists_are_held_as_their_pairs_would_be(pairs: list[Any]) -> None:
    lists = dict(_grouped(pairs))
    held = Held.of_lists(lists, {}, None, is_plain=True)
    assert list(held) == list(lists.items())
    assert held.in_order() == _held(pairs).in_order()


def test_keys_of_one_value_each_are_pairs_in_whatever_order_they_came() -> None:
    shuffled = random.Random(1).sample(ASCENDING, len(ASCENDING))
    assert _held(shuffled).in_order() == _block(ASCENDING)
    assert list(_held(shuffled)) == [(key, [value]) for key, value in shuffled]


@pytest.mark.parametrize("before", [[], [("a", 0)], [("a", 0), ("a", 0)]], ids=repr)
def test_a_value_is_copied_when_it_is_yielded(before: list[Any]) -> None:
    def author() -> Iterator[object]:
        yield from before
        listed: list[int] = []
        for number in range(3):
            listed.append(number)
            yield f"k{number}", listed

    held = Held()
    held.take(author(), 0)
    found = dict(held)
    assert [found[f"k{n}"] for n in range(3)] == [[[0]], [[0, 1]], [[0, 1, 2]]]


@pytest.mark.parametrize("before", [0, 5, SLICE])
def test_what_is_no_pair_is_named_by_its_position(before: int) -> None:
    with pytest.raises(Misuse, match=f"pair {before + 1} is not"):
        _held([*((n, n) for n in range(before)), (SLICE, 1), (1, 2, 3)])


@pytest.mark.parametrize("pairs", [ASCENDING, ASCENDING[::-1]], ids=["ascending", "descending"])
def test_many_pairs_are_packed_as_a_block_and_few_as_a_map(pairs: list[Any]) -> None:
    pack = values.packer()
    few, many = pairs[:BLOCK], pairs
    assert values.unpack(_held(few).packed(pack)) == {key: [value] for key, value in few}
    assert block_of(values.unpack(_held(many).packed(pack))) == _block(many)


@given(PAIRS)
def test_what_packs_held_pairs_quicker_packs_them_alike(pairs: list[Any]) -> None:
    held, pack = _held(pairs), values.packer()
    items = list(held.in_order().items())
    assert list(map(held.pack or pack, items)) == list(map(pack, items))
