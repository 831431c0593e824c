"""What is encoded by columns has the same bytes as what is made line by line."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jobx.actors.inspection.dumps import plain
from jobx.actors.inspection.dumps.dump import Dump
from jobx.actors.inspection.dumps.plain import PlainEnds
from jobx.actors.request.events import Adopted, Done, Event, Mapped, Retried
from jobx.actors.request.spans import Span
from tests.unit.actors.inspection.dumps.samples import (
    ACCEPTED,
    LEAVES,
    MAPPED,
    SPLIT,
    TOTAL,
    WHOLE,
    WRONG,
    Sample,
    items,
    run_of,
    us,
)

TIMES = st.floats(0.0, 4e9)
MICROSECONDS = st.integers(0, 2**32 - 1)
PLAIN = replace(LEAVES, notes={})
FIRST, SECOND = (
    replace(PLAIN, first=first, count=1, durations=us(1000, 10, 100), node="") for first in (1, 2)
)
#: Children of a step without a combiner, as an event of their own maps them.
MORE = Mapped(2.0, 3, 1, "split", 3, 2, items(["c", {"a": [1.5, None]}], ["d\n", b"x"]), "d")
MORE_ENDED = replace(PLAIN, chunk=3, first=3)


def line_by_line(sample: Sample) -> bytes:
    return msgspec.json.Encoder().encode_lines(sample.lines())


def found(sample: Sample) -> list[type]:
    """Return in which forms the lines of a dump come."""
    return [type(one) for one in Dump(sample.store, sample.blobs, sample._asked({})).batches()]


@pytest.mark.parametrize(
    "ended",
    [
        (PLAIN,),
        (FIRST, SECOND),
        (SECOND, FIRST),
        (replace(FIRST, node="n%d"), SECOND),
        (replace(PLAIN, payloads=(run_of(["a", [1]]),)),),
        (replace(PLAIN, span=None),),
        (replace(PLAIN, outcome="combined"),),
        (replace(PLAIN, durations=b""),),
        (FIRST, replace(SECOND, durations=us(100, 1, 10))),
        (PLAIN, MORE, MORE_ENDED),
        (MORE, FIRST, MORE_ENDED, SECOND),
        (FIRST, Retried(2.6, "map", 1, 2, 1, 2, 0.5, WRONG), SECOND),
        (FIRST, Adopted(2.6, "n3", 2), SECOND),
        (FIRST,),
    ],
)
def test_lines_by_columns_are_those_made_one_by_one(tmp_path: Path, ended: Sequence[Event]) -> None:
    sample = Sample(tmp_path, ACCEPTED, MAPPED, SPLIT, *ended, TOTAL)
    assert sample.text() == line_by_line(sample)
    rows = sample.text().splitlines()
    assert sample.text(form="json").split(b'"invocations":[\n')[1] == b",\n".join(rows) + b"\n]}\n"


@given(
    at=TIMES, began_us=MICROSECONDS, all_us=MICROSECONDS,
    spent=st.lists(MICROSECONDS, min_size=6, max_size=6),
)  # fmt: skip
@settings(deadline=None)
def test_times_have_the_same_digits(
    at: float, began_us: int, all_us: int, spent: list[int]
) -> None:
    span = Span(8, began_us, all_us)
    ends: list[Done] = [
        replace(PLAIN, at=at, span=span, durations=us(*spent)),
        replace(MORE_ENDED, first=3, count=1, at=at, span=span, durations=us(*spent[:3])),
    ]
    with tempfile.TemporaryDirectory() as folder:
        sample = Sample(Path(folder), ACCEPTED, MAPPED, MORE, SPLIT, *ends)
        assert sample.text() == line_by_line(sample)


def test_most_ends_are_encoded_by_columns(tmp_path: Path) -> None:
    sample = Sample(tmp_path, ACCEPTED, MAPPED, SPLIT, FIRST, SECOND, TOTAL)
    assert found(sample).count(PlainEnds) == 1


@pytest.mark.parametrize("asked", [{"is_redacted": True}, {"max_value_bytes": 1}])
def test_values_are_shown_as_they_are_asked_for(tmp_path: Path, asked: dict[str, int]) -> None:
    sample = Sample(tmp_path, ACCEPTED, MAPPED, SPLIT, PLAIN, TOTAL)
    encoded = msgspec.json.Encoder().encode_lines(sample.lines(**asked))
    assert sample.text(**asked) == encoded


def test_what_left_notes_is_not_encoded_by_columns(tmp_path: Path) -> None:
    assert PlainEnds not in found(Sample(tmp_path, *WHOLE))


def test_few_are_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "_MANY", 1)
    sample = Sample(tmp_path, ACCEPTED, MAPPED, SPLIT, FIRST, SECOND, TOTAL)
    assert found(sample).count(PlainEnds) == 2
    assert sample.text() == line_by_line(sample)


def test_few_bytes_of_what_they_yielded_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain, "_MOST_BYTES", 1000)
    large = replace(FIRST, payloads=(run_of(["a", ["x" * 1000]]),))
    sample = Sample(tmp_path, ACCEPTED, MAPPED, SPLIT, large, SECOND, TOTAL)
    assert found(sample).count(PlainEnds) == 2
    assert sample.text() == line_by_line(sample)
