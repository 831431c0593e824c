from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobx.actors.request.ranges import Ranges

LIMIT = 40
spans = st.tuples(st.integers(0, LIMIT), st.integers(1, 8)).map(lambda s: (s[0], s[0] + s[1]))


def _filled(numbers: set[int]) -> Ranges:
    ranges = Ranges()
    for number in numbers:
        ranges.add(number, number + 1)
    return ranges


def _numbers(ranges: Ranges) -> set[int]:
    return {number for start, stop in ranges for number in range(start, stop)}


@given(st.lists(st.tuples(st.booleans(), spans), max_size=40))
def test_ranges_hold_what_a_set_holds(steps: list[tuple[bool, tuple[int, int]]]) -> None:
    ranges, model = Ranges(), set[int]()
    for adds, (start, stop) in steps:
        span = set(range(start, stop))
        if adds and not span & model:
            ranges.add(start, stop)
            model |= span
        elif not adds and span <= model:
            ranges.remove(start, stop)
            model -= span
        assert _numbers(ranges) == model
        assert ranges.size == len(model)


@given(st.sets(st.integers(0, LIMIT)))
def test_ranges_are_ascending_and_never_touch(numbers: set[int]) -> None:
    flat = [edge for span in _filled(numbers) for edge in span]
    assert flat == sorted(set(flat))


@given(st.sets(st.integers(0, LIMIT)), spans)
def test_overlaps_tells_whether_any_number_is_in(numbers: set[int], span: tuple[int, int]) -> None:
    assert _filled(numbers).overlaps(*span) == bool(numbers & set(range(*span)))


@given(st.sets(st.integers(0, LIMIT)), spans)
def test_gaps_are_what_is_missing_in_as_few_ranges_as_can_be(
    numbers: set[int], span: tuple[int, int]
) -> None:
    gaps = _filled(numbers).gaps(*span)
    missing = [number for start, stop in gaps for number in range(start, stop)]
    assert missing == sorted(set(range(*span)) - numbers)
    flat = [edge for gap in gaps for edge in gap]
    assert flat == sorted(set(flat))
