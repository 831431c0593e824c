"""Values in a file are what a list of them is, whatever is asked of it."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx import values
from jobx.handlers.pairs.checking import checked
from jobx.handlers.pairs.spooled import SpooledValues

some = st.integers(-3, 3) | st.text("ab", max_size=2) | st.lists(st.integers(0, 2), max_size=2)
blocks = st.lists(st.lists(some, max_size=4), max_size=5)
places = st.none() | st.integers(-25, 25)


def _spooled(several: list[list[Any]]) -> tuple[SpooledValues, list[Any]]:
    """Each list is a block of its own in the file."""
    spooled = SpooledValues()
    for block in several:
        spooled.extend(block)
    return spooled, [value for block in several for value in block]


def _outcome(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except (IndexError, ValueError, TypeError) as error:
        return type(error)


READS: dict[str, Callable[[Any, Any], Any]] = {
    "length": lambda those, _: len(those),
    "iteration": lambda those, _: [list(those), list(those)],
    "reversed": lambda those, _: list(reversed(those)),
    "truth": lambda those, _: bool(those),
    "in": lambda those, value: value in those,
    "count": lambda those, value: those.count(value),
    "index": lambda those, value: those.index(value),
    "index from": lambda those, value: those.index(value, -4, 3),
    "copy": lambda those, _: those.copy(),
    "times": lambda those, _: [those * 2, 0 * those],
    "text": lambda those, _: repr(those),
    "sorted by text": lambda those, _: sorted(those, key=repr),
    "unpacking": lambda those, _: [*those],
}
CHANGES: dict[str, Callable[[Any, Any], Any]] = {
    "append": lambda those, value: those.append(value),
    "extend": lambda those, value: those.extend([value, value]),
    "insert": lambda those, value: those.insert(1, value),
    "remove": lambda those, value: those.remove(value),
    "pop": lambda those, _: those.pop(),
    "clear": lambda those, _: those.clear(),
    "reverse": lambda those, _: those.reverse(),
    "sort": lambda those, _: those.sort(key=repr, reverse=True),
    "assign": lambda those, value: operator.setitem(those, 0, value),
    "assign a slice": lambda those, value: operator.setitem(those, slice(0, 2), [value]),
    "delete": lambda those, _: operator.delitem(those, -1),
}


@pytest.mark.parametrize("name", READS)
@given(several=blocks, value=some)
def test_what_reads_a_list_reads_spooled_values(
    name: str, several: list[list[Any]], value: Any
) -> None:
    spooled, listed = _spooled(several)
    assert _outcome(lambda: READS[name](spooled, value)) == _outcome(
        lambda: READS[name](listed, value)
    )


@pytest.mark.parametrize("name", CHANGES)
@given(several=blocks, value=some)
def test_what_changes_a_list_changes_spooled_values(
    name: str, several: list[list[Any]], value: Any
) -> None:
    spooled, listed = _spooled(several)
    done = _outcome(lambda: CHANGES[name](spooled, value))
    assert done == _outcome(lambda: CHANGES[name](listed, value))
    assert list(spooled) == listed
    assert len(spooled) == len(listed)
    assert _outcome(lambda: spooled[-1]) == _outcome(lambda: listed[-1])


@given(blocks, st.integers(-25, 25), places, places, places)
def test_an_index_and_a_slice_give_what_they_give_of_a_list(
    several: list[list[Any]], index: int, start: Any, stop: Any, step: Any
) -> None:
    spooled, listed = _spooled(several)
    assert _outcome(lambda: spooled[index]) == _outcome(lambda: listed[index])
    cut = slice(start, stop, step)
    assert _outcome(lambda: spooled[cut]) == _outcome(lambda: listed[cut])


@pytest.mark.parametrize(
    "compare",
    [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge, operator.add],
)
@given(one=blocks, other=blocks)
def test_spooled_values_compare_with_lists_as_lists_do(
    compare: Callable[[Any, Any], Any], one: list[list[Any]], other: list[list[Any]]
) -> None:
    (spooled, listed), (more, others) = _spooled(one), _spooled(other)
    expected = _outcome(lambda: compare(listed, others))
    assert _outcome(lambda: compare(spooled, others)) == expected
    assert _outcome(lambda: compare(listed, more)) == expected
    assert _outcome(lambda: compare(spooled, more)) == expected


@pytest.mark.interpreted
def test_an_index_reads_one_block_wherever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    spooled = SpooledValues()
    spooled.extend(range(50_000))
    read: list[int] = []
    whole = SpooledValues._read

    def counted(self: SpooledValues, start: int, stop: int) -> Any:
        read.append(stop - start)
        return whole(self, start, stop)

    monkeypatch.setattr(SpooledValues, "_read", counted)
    assert [spooled[n] for n in (0, 49_999, -1, 25_000)] == [0, 49_999, 49_999, 25_000]
    assert max(read) < 8192


def test_large_values_are_read_again_one_by_one() -> None:
    spooled = SpooledValues()
    spooled.extend(bytes([n]) * 100_000 for n in range(100))
    assert spooled[57] == bytes([57]) * 100_000
    assert len(spooled._block[1]) == 1


def test_spooled_values_are_a_list_where_they_are_yielded() -> None:
    spooled, listed = _spooled([[1, 2], ["a"]])
    assert checked(("k", spooled), 0)[:2] == ("k", listed)
    assert checked(("k", {"all": [spooled]}), 0)[:2] == ("k", {"all": [listed]})
    assert values.to_jsonable({"all": spooled}) == {"all": listed}
