from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx import values
from jobx.payload import Payload, cut, pack_offsets, unpack_offsets
from tests.support.payloads import EMPTY

sizes = st.lists(st.integers(1, 100_000), min_size=1, max_size=20)


def _chunk(lengths: list[int]) -> Payload:
    ends = [sum(lengths[: n + 1]) for n in range(len(lengths))]
    return Payload(len(ends), ends[-1], None, "b", offsets=pack_offsets(ends))


@pytest.mark.parametrize(
    "payload",
    [
        EMPTY,
        Payload(2, 3, b"abc"),
        Payload(2, 3, None, "blob", 0xFFFFFFFF, b"\x01\0\0\0\x03\0\0\0"),
        Payload(2, 3, None, "blob", 7, sections=(0, 3)),
    ],
)
def test_a_payload_comes_back_from_the_wire(payload: Payload) -> None:
    wire = values.unpack(values.pack(payload.to_wire()))
    assert Payload.from_wire(wire) == payload


def test_the_wire_carries_every_field() -> None:
    assert len(EMPTY.to_wire()) == len(Payload.__struct_fields__)


@given(st.lists(st.integers(0, (1 << 32) - 1)))
def test_offsets_come_back_as_they_were(ends: list[int]) -> None:
    assert list(unpack_offsets(pack_offsets(ends))) == ends


@given(sizes, st.data())
def test_a_cut_is_the_bytes_of_its_items(lengths: list[int], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(lengths) - 1))
    stop = data.draw(st.integers(start + 1, len(lengths)))
    assert cut(_chunk(lengths), start, stop) == (sum(lengths[:start]), sum(lengths[:stop]))


@given(sizes)
def test_cuts_that_follow_each_other_touch(lengths: list[int]) -> None:
    cuts = [cut(_chunk(lengths), n, n + 1) for n in range(len(lengths))]
    assert [stop for _, stop in cuts[:-1]] == [start for start, _ in cuts[1:]]
