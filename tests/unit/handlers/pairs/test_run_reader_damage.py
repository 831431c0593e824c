"""Runs that are not what was written, without a checksum that says so."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx import values
from jobx.errors import BlobDamaged
from jobx.handlers.pairs import run_merger
from jobx.handlers.pairs.merged_groups import Merged
from jobx.payload import Payload

WHERE = Path("/nowhere")
SOUND: list[Any] = [
    *([key, [key, None]] for key in range(9)),
    [3, ["a", "b", "c"], [1.5, [2], {"d": 3}]],
    [["e", 1], [b"f", True]],
]
#: What may be in the place of anything: also what is no key, or no list of values.
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text("ab") | st.binary(),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text("ab"), parts, max_size=2),
    max_leaves=6,
)


def _run(members: list[Any]) -> bytes:
    return b"".join(map(values.packer(), members))


def _read(body: bytes) -> None:
    """Read a run beside a sound one in all ways; nothing but damage may be raised."""
    runs = [Payload(1, len(one), one) for one in (body, _run(SOUND))]
    for spill_bytes in (1, 1 << 20):
        for partition in range(3):
            with suppress(BlobDamaged):
                list(Merged(runs, WHERE, spill_bytes, partition, 3))
    for chosen in (runs, runs[:1]):
        with suppress(BlobDamaged):
            list(run_merger.pairs(chosen, WHERE))


@given(st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=3))
def test_a_byte_of_a_run_may_be_any_other(changes: list[tuple[int, int]]) -> None:
    body = bytearray(_run(SOUND))
    for at, byte in changes:
        body[at % len(body)] = byte
    _read(bytes(body))


@given(st.integers(0, len(SOUND)), ANYTHING)
def test_a_member_of_a_run_may_be_anything(at: int, member: object) -> None:
    _read(_run([*SOUND[:at], member, *SOUND[at + 1 :]]))


@given(st.integers(0, len(SOUND)), ANYTHING, ANYTHING)
def test_an_item_of_a_run_may_have_anything_as_its_key_and_values(
    at: int, key: object, held: object
) -> None:
    _read(_run([*SOUND[:at], [key, held], *SOUND[at:]]))
    _read(_run([*SOUND[:at], [1, [key], [held]], *SOUND[at:]]))


@pytest.mark.parametrize("held", [5, None, "ab", {"a": 1}], ids=repr)
def test_an_item_without_a_list_of_values_is_damage(held: object) -> None:
    body = _run([["a", [1]], ["b", held]])
    with pytest.raises(BlobDamaged, match="list of values"):
        list(run_merger.pairs([Payload(2, len(body), body)], WHERE))


def test_keys_that_are_not_in_order_are_damage_and_are_not_merged_for_ever() -> None:
    bodies = [_run([[key, ["v" * 100]] for key in range(2000, first, -1)]) for first in (0, 5)]
    runs = [Payload(1, len(body), body) for body in bodies]
    with pytest.raises(BlobDamaged, match="not in order"):
        list(run_merger.pairs(runs, WHERE))


def test_a_length_that_is_damaged_takes_no_memory() -> None:
    with pytest.raises(BlobDamaged, match="exceeds"):
        list(run_merger.pairs([Payload(1, 5, b"\xdd\x7f\xff\xff\xff")], WHERE))
