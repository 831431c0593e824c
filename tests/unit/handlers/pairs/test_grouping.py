from __future__ import annotations

import decimal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx import values
from jobx.handlers.failures import Misuse
from jobx.handlers.pairs.checking import SLICE, PairReader
from jobx.handlers.pairs.grouping import Groups
from jobx.handlers.pairs.merged_groups import Merged
from jobx.handlers.pairs.run_writer import RunWriter

KEYS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([0.5, 1.0, -1.0]),
    st.text(max_size=2),
    st.binary(max_size=1),
    st.tuples(st.integers(0, 1), st.booleans()),
)


def _groups(folder: Path, spill_bytes: int = 1 << 30, partitions: int = 1) -> Groups:
    return Groups(RunWriter(str(folder), "g", 0, partitions), spill_bytes)


def _grouped(groups: Groups) -> list[tuple[Any, list[Any]]]:
    return [(key, list(listed)) for key, listed in groups.grouped(in_order=True)]


def test_equal_numbers_are_one_key_and_booleans_are_not_numbers(tmp_path: Path) -> None:
    groups = _groups(tmp_path)
    groups.fill(iter([(1, "a"), (True, "b"), (1.0, "c"), ((1,), "d"), ((True,), "e")]))
    assert _grouped(groups) == [
        (True, ["b"]),
        (1, ["a", "c"]),
        ((True,), ["e"]),
        ((1,), ["d"]),
    ]


@given(
    pairs=st.lists(st.tuples(KEYS, st.integers(0, 99)), max_size=60),
    spill_bytes=st.sampled_from([1, 2000, 1 << 30]),
    cut=st.integers(0, 60),
    in_order=st.booleans(),
)
def test_grouping_is_the_same_however_much_is_spilled(
    tmp_path_factory: pytest.TempPathFactory,
    pairs: list[Any],
    spill_bytes: int,
    cut: int,
    in_order: bool,
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    plain: dict[Any, tuple[Any, list[int]]] = {}
    for key, value in pairs:
        plain.setdefault(values.key_identity(key), (key, []))[1].append(value)
    expected = sorted(plain.values(), key=lambda item: values.sort_key(item[0]))
    groups = _groups(folder, spill_bytes, partitions=3)
    groups.fill(iter(pairs[:cut]))
    groups.fill(iter(pairs[cut:]))
    found = [(key, list(listed)) for key, listed in groups.grouped(in_order=in_order)]
    if not in_order:
        found.sort(key=lambda item: values.sort_key(item[0]))
    assert repr(found) == repr(expected)


@given(
    pairs=st.lists(st.tuples(KEYS, st.integers(0, 99)), max_size=40), spill=st.sampled_from([1, 9])
)
def test_absorbing_is_the_same_as_taking_everything_at_once(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[Any], spill: int
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    left = _groups(folder)
    right = Groups(RunWriter(str(folder), "right", 0), spill * 200)
    left.fill(iter(pairs[::2]))
    right.fill(iter(pairs[1::2]))
    left.absorb(right)
    by_place = _groups(folder)
    by_place.fill(iter(pairs[::2] + pairs[1::2]))
    assert repr(_grouped(left)) == repr(_grouped(by_place))


ODD: list[Any] = [(1.0, "a"), (True, "b"), (1, "c"), (-0.0, "d"), ("1", "e"), (b"1", "f"), (7, "g")]
ASCENDING: list[Any] = [(number, number) for number in range(4 * SLICE)]
#: Outputs of which some are few pairs, and others slices of keys of one value each and more.
OUTPUTS = {
    "none": [],
    "few": ODD,
    "ascending": ASCENDING,
    "descending": ASCENDING[::-1],
    "many then odd": ASCENDING + ODD,
    "odd then many": ODD + ASCENDING,
    "text": [(f"k{number:05}", None) for number in range(4 * SLICE + 1)],
}


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("none", "ascending"),
        ("few", "ascending"),
        ("ascending", "few"),
        ("ascending", "descending"),
        ("many then odd", "ascending"),
        ("text", "odd then many"),
    ],
)
def test_few_and_many_keys_are_absorbed_alike(tmp_path: Path, left: str, right: str) -> None:
    pairs = OUTPUTS[left] + OUTPUTS[right]
    plain: dict[Any, tuple[Any, list[Any]]] = {}
    for key, value in pairs:
        plain.setdefault(values.key_identity(key), (key, []))[1].append(value)
    expected = sorted(plain.values(), key=lambda item: values.sort_key(item[0]))
    groups, more = _groups(tmp_path), _groups(tmp_path)
    groups.fill(iter(OUTPUTS[left]))
    more.fill(iter(OUTPUTS[right]))
    groups.absorb(more)
    unordered = [(key, list(listed)) for key, listed in groups.grouped(in_order=False)]
    assert repr(sorted(unordered, key=lambda item: values.sort_key(item[0]))) == repr(expected)
    assert repr(_grouped(groups)) == repr(expected)
    groups.spill()
    assert repr(_grouped(groups)) == repr(expected)


@pytest.mark.parametrize("before", [0, SLICE - 1, SLICE, 4 * SLICE, 6 * SLICE], ids=str)
def test_a_pair_behind_many_keys_is_refused_with_its_index(tmp_path: Path, before: int) -> None:
    pairs = [(number, None) for number in range(before)]
    with pytest.raises(Misuse, match=f"pair {before} ") as refused:
        _groups(tmp_path).fill(iter([*pairs, ({1}, 1)]))
    assert refused.value.args[2] == before


def test_a_hot_key_is_given_as_a_sized_sequence_that_can_be_read_again(tmp_path: Path) -> None:
    groups = _groups(tmp_path, spill_bytes=50_000)
    groups.fill(("hot", number) for number in range(20_000))
    ((_, listed),) = groups.grouped(in_order=True)
    assert not isinstance(listed, list)
    assert (len(listed), sum(listed), sum(listed)) == (20_000, 199_990_000, 199_990_000)
    assert (listed[3], listed[-1], listed[2:8:2]) == (3, 19_999, [2, 4, 6])


parts = st.one_of(
    st.integers(),
    st.text(st.characters(), max_size=5),
    st.floats(allow_nan=True),
    st.booleans(),
    st.none(),
    st.binary(max_size=3),
    st.lists(st.integers(), max_size=2),
    st.sampled_from(["\ud800", decimal.Decimal("1.5"), {1}, {"a": 1}, "x" * 200]),
)
yields = st.one_of(st.tuples(parts, parts), st.sampled_from([3, None, (1, 2, 3), [1, 2]]))


def _one_by_one(pairs: list[Any]) -> object:
    """Return the groups of pairs that are each taken alone, or which one is refused."""
    plain: dict[Any, tuple[Any, list[Any]]] = {}
    for index, pair in enumerate(pairs):
        try:
            ((key, value),) = PairReader(iter([pair])).take()
        except Misuse:
            return index
        plain.setdefault(values.key_identity(key), (key, []))[1].append(value)
    return repr(sorted(plain.values(), key=lambda item: values.sort_key(item[0])))


@given(st.lists(yields, max_size=5), st.sampled_from([0, SLICE - 1]))
def test_pairs_are_grouped_as_those_that_are_looked_at_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[Any], before: int
) -> None:
    groups = _groups(tmp_path_factory.getbasetemp())
    try:
        groups.fill(iter([*(("first", n) for n in range(before)), *pairs]))
        found: object = repr([item for item in _grouped(groups) if item[0] != "first"])
    except Misuse as misuse:
        found = misuse.args[2] - before
    assert found == _one_by_one(pairs)


@pytest.mark.parametrize("count", [0, 1, SLICE - 1, SLICE, SLICE + 1, 3 * SLICE])
def test_every_pair_is_taken_however_many_there_are(tmp_path: Path, count: int) -> None:
    groups = _groups(tmp_path)
    groups.fill(("k", number) for number in range(count))
    assert [listed for _, listed in _grouped(groups)] == [[*range(count)]] * bool(count)


def test_what_is_long_is_spilled_before_more_of_it_is_taken(tmp_path: Path) -> None:
    taken = 0

    def author() -> Iterator[object]:
        nonlocal taken
        for number in range(20):
            assert taken - len(groups.runs) * 5 <= 5
            taken += 1
            yield number, "x" * 1_000_000

    groups = _groups(tmp_path, spill_bytes=4 << 20)
    groups.fill(author())
    assert taken == 20


@given(
    runs=st.lists(st.lists(st.tuples(KEYS, st.integers(0, 99)), max_size=12), max_size=5),
    spill_bytes=st.sampled_from([1, 1 << 30]),
    partitions=st.sampled_from([1, 3]),
)
def test_runs_are_put_together_the_same_whether_they_are_merged_or_collected(
    tmp_path_factory: pytest.TempPathFactory,
    runs: list[list[Any]],
    spill_bytes: int,
    partitions: int,
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    writer = RunWriter(str(folder), "r", 0, partitions)
    payloads = []
    for pairs in runs:
        groups = Groups(writer, 1 << 30)
        groups.fill(iter(pairs))
        groups.spill()
        payloads += groups.payloads()
    at_once = _groups(folder)
    at_once.fill(iter([pair for pairs in runs for pair in pairs]))
    found = [
        (key, list(listed))
        for part in range(partitions)
        for key, listed in Merged(payloads, str(folder), spill_bytes, part, partitions)
    ]
    found.sort(key=lambda item: values.sort_key(item[0]))
    assert repr(found) == repr(_grouped(at_once))
