"""Keys of one hash are refused, or brought together without a dict, in linear time."""

from __future__ import annotations

import datetime
import decimal
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobx import key_hashes, values
from jobx.errors import InvalidInput
from jobx.handlers.failures import Misuse
from jobx.handlers.pairs.grouping import Groups
from jobx.handlers.pairs.merged_groups import Merged
from jobx.handlers.pairs.run_writer import RunWriter
from jobx.key_hashes import HashCounts

SHARED = (1 << 61) - 1
#: Keys that all have one hash, by what they are.
COLLIDING: dict[str, Callable[[int], Any]] = {
    "integers": lambda n: SHARED * (n + 1),
    "decimals": lambda n: decimal.Decimal(SHARED * (n + 1)),
}


class _Key:
    """A key whose comparisons are counted."""

    compared = 0

    def __hash__(self) -> int:
        return 7

    def __eq__(self, other: object) -> bool:
        _Key.compared += 1
        return self is other


def _keys(kind: str, count: int) -> list[Any]:
    return [COLLIDING[kind](n) for n in range(count)]


def _packed(keys: list[Any]) -> bytes:
    head = b"\xdf" + len(keys).to_bytes(4)
    return head + b"".join(values.pack(key) + b"\x00" for key in keys)


@pytest.fixture
def groups(tmp_path: Any) -> Groups:
    return Groups(RunWriter(str(tmp_path), "run", 1 << 20), 1 << 30)


@pytest.mark.parametrize("kind", COLLIDING)
@pytest.mark.parametrize("read", [values.unpack, values.unpack_foreign])
def test_packed_maps_of_keys_of_one_hash_are_refused(kind: str, read: Any) -> None:
    with pytest.raises(InvalidInput, match="the same hash"):
        read(_packed(_keys(kind, 50_000)))


@pytest.mark.parametrize("kind", COLLIDING)
def test_json_maps_of_keys_of_one_hash_are_refused(kind: str) -> None:
    items = [[values.to_jsonable(key), 0] for key in _keys(kind, 50_000)]
    with pytest.raises(InvalidInput, match="the same hash"):
        values.from_jsonable({"$map": items})


@pytest.mark.parametrize("kind", COLLIDING)
def test_a_streamed_map_of_keys_of_one_hash_is_refused(kind: str) -> None:
    reader = values.unpacker(is_foreign=True)
    reader.feed(_packed(_keys(kind, 50_000)))
    with pytest.raises(ValueError, match="the same hash"):
        list(reader)


@pytest.mark.parametrize("kind", COLLIDING)
def test_a_handler_that_yields_keys_of_one_hash_fails_by_name(kind: str, groups: Groups) -> None:
    with pytest.raises(Misuse, match="the same hash") as raised:
        groups.fill((COLLIDING[kind](n), 1) for n in range(1_000_000))
    assert raised.value.args[2] == key_hashes.MAX_EQUAL


def test_looking_at_the_keys_of_a_map_compares_none() -> None:
    keys = [_Key() for _ in range(10_000)]
    _Key.compared = 0
    with pytest.raises(ValueError, match="the same hash"):
        key_hashes.check(keys)
    assert _Key.compared == 0


def test_as_many_keys_of_one_hash_as_are_allowed_are_a_map() -> None:
    found = dict.fromkeys(_keys("integers", key_hashes.MAX_EQUAL), 0)
    assert values.unpack(values.pack(found)) == found
    assert values.from_jsonable(values.to_jsonable(found)) == found


def _same_ways(size: int) -> list[int]:
    """Return keys of different hashes that all look for room in one half of a dict of a size."""
    half, at = [], 0
    for _ in range(size // 2):
        half.append(at)
        at = (5 * at + 1) % size  # where a dict looks in the end
    places = {place: index for index, place in enumerate(half)}
    chosen = random.Random(1)
    keys = list(half)
    while len(keys) < 2 * size // 3 - 1:
        key = rest = chosen.getrandbits(30)
        at = key % size
        while at in places and rest:
            rest >>= 5
            at = (5 * at + rest + 1) % size
        if places.get(at, size) < size // 8:
            keys.append(key)
    return keys


def test_keys_that_go_the_same_ways_are_refused() -> None:
    keys = list(dict.fromkeys(_same_ways(8192)))
    assert len(keys) > 4096
    with pytest.raises(ValueError, match="same ways"):
        key_hashes.check_ways(keys)
    with pytest.raises(InvalidInput, match="same ways"):
        values.unpack_foreign(_packed(keys))
    with pytest.raises(InvalidInput, match="same ways"):
        values.from_jsonable({"$map": [[key, 0] for key in keys]})


@pytest.mark.parametrize("shift", range(0, 56, 4))
def test_numbers_of_any_spacing_are_keys(shift: int) -> None:
    key_hashes.check_ways([n << shift for n in range(20_000)])


def _ordinary() -> Iterator[tuple[str, list[Any]]]:
    count = 5_000
    yield "floats", [n / 7 for n in range(count)]
    yield "powers", [2.0**n for n in range(-1000, 1000)]
    yield "large integers", [n << 70 for n in range(count)]
    yield "decimals", [decimal.Decimal(n).scaleb(-2) for n in range(count)]
    yield "lists", [(n, -n, f"{n}") for n in range(count)]
    now = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    yield "timestamps", [now + datetime.timedelta(seconds=n) for n in range(count)]


@pytest.mark.parametrize(("kind", "keys"), list(_ordinary()))
def test_ordinary_keys_are_never_taken_for_colliding_ones(
    kind: str, keys: list[Any], groups: Groups
) -> None:
    groups.fill((key, 1) for key in keys)
    assert len(list(groups.grouped(in_order=True))) == len(keys)
    key_hashes.check(keys)
    key_hashes.check_ways(keys, few=0)


def test_outputs_of_many_mappers_with_keys_of_one_hash_are_brought_together(tmp_path: Any) -> None:
    writer = RunWriter(str(tmp_path), "run", 1 << 20)
    every = _keys("integers", 400)
    payloads = []
    for first in range(0, len(every), 80):
        groups = Groups(writer, 1 << 30)
        groups.fill((key, 1) for key in every[first : first + 90])
        payloads += groups.payloads()
    found = list(Merged(payloads, str(tmp_path), 1 << 20))
    assert [key for key, _ in found] == every
    assert sum(len(listed) for _, listed in found) == 80 * 5 + 10 * 4


def test_groups_of_a_batch_that_share_a_hash_are_kept_as_runs(tmp_path: Any) -> None:
    writer = RunWriter(str(tmp_path), "run", 1 << 20)
    together = Groups(writer, 1 << 30)
    every = _keys("integers", 300)
    for first in range(0, len(every), 60):
        groups = Groups(writer, 1 << 30)
        groups.fill((key, 1) for key in every[first : first + 60])
        together.absorb(groups)
    assert len(together.runs) > 0
    found = list(Merged(together.payloads(), str(tmp_path), 1 << 20))
    assert [key for key, _ in found] == every


def test_counts_join_only_as_far_as_they_may() -> None:
    one, other = HashCounts(), HashCounts()
    for n in range(60):
        one.add(SHARED * (n + 1))
        other.add(SHARED * (n + 61))
    assert not one.joined(other)
    assert one.joined(HashCounts())
