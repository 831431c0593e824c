from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from jobx import values
from jobx.actors.inspection.dumps import values as dump_values
from jobx.actors.inspection.dumps.values import DumpValues, Shown, redacted
from jobx.errors import BlobDamaged, InvalidInput
from jobx.kv.blobs import BlobFolder
from jobx.payload import IN_PAYLOADS, Payload, StageData, pack_offsets
from tests.unit.actors.inspection.dumps.samples import items, stage_data


def made(folder: Path, **fields: Any) -> DumpValues:
    wanted = {"max_bytes": 1 << 20, "is_redacted": False, **fields}
    return DumpValues(BlobFolder(folder), "w", "r1", **wanted)


def in_blob(folder: Path, chunk: Payload, name: str = "b") -> Payload:
    """Return a chunk whose items are in a blob."""
    body = chunk.inline or b""
    (BlobFolder(folder).create("w", "r1") / name).write_bytes(body)
    return replace(chunk, inline=None, blob=name, checksum=zlib.crc32(body))


def test_arguments_are_cut_out_of_their_chunk_wherever_it_is(tmp_path: Path) -> None:
    chunk = items([1, "a"], [2, "b"], [3, "c"])
    for one in (chunk, in_blob(tmp_path, chunk)):
        found = made(tmp_path).arguments(one, 1, 2)
        assert [shown.value for shown in found] == [[2, "b"], [3, "c"]]


@pytest.mark.parametrize("step", [1, 7, 39])
def test_arguments_are_the_same_one_by_one_in_any_order(tmp_path: Path, step: int) -> None:
    chunk = items(*([number, "x" * number] for number in range(40)))
    shown = made(tmp_path, max_bytes=30)
    whole = shown.arguments(chunk, 0, 40)
    for number in (step * n % 40 for n in range(40)):
        assert shown.arguments(chunk, number, 1) == [whole[number]]


def test_arguments_of_few_groups_are_held(tmp_path: Path) -> None:
    shown = made(tmp_path)
    for chunk in [items([number, "a"]) for number in range(100)]:
        shown.arguments(chunk, 0, 1)
    assert len(shown._groups._held) == dump_values._GROUPS


def test_arguments_that_are_gone_are_absent_with_the_reason(tmp_path: Path) -> None:
    chunk = in_blob(tmp_path, items([1, "a"]))
    BlobFolder(tmp_path).remove("w", "r1")
    (shown,) = made(tmp_path).arguments(chunk, 0, 1)
    assert shown.value is None
    assert shown.why.startswith("they cannot be read")
    assert made(tmp_path).arguments(None, 0, 2)[1].why == "the event that had them is gone"


def test_only_those_that_are_too_large_are_left_out(tmp_path: Path) -> None:
    chunk = items([1, "a"], [2, "b" * 100])
    small, large = made(tmp_path, max_bytes=20).arguments(chunk, 0, 2)
    assert small.value == [1, "a"]
    assert "more than 20" in large.why


def test_a_root_without_offsets_has_one_item(tmp_path: Path) -> None:
    body = values.pack([["n", 1]])
    (shown,) = made(tmp_path).arguments(Payload(1, len(body), body), 0, 1)
    assert shown.value == [["n", 1]]


@pytest.mark.parametrize("written", [zlib.compress, bytes], ids=["compressed", "as it is"])
def test_a_stage_that_yielded_the_same_as_the_one_before_shows_it(
    written: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    blobs = BlobFolder(tmp_path)
    records = [(1, "mapper", 1, values.pack({"a": [1]})), (1, "reducer", 1, b"")]
    body = written(b"".join(map(values.pack, records)))
    (blobs.create("w", "r1") / "y-stages").write_bytes(body)
    data = stage_data(blobs)._replace(blob="y-stages", size_bytes=len(body))
    data = data._replace(checksum=zlib.crc32(body))
    found = made(tmp_path).stage(data, 1, "reducer")
    assert found is not None
    assert found.value == [["a", [1]]]


def test_what_a_stage_yielded_is_read_where_it_went_out(tmp_path: Path) -> None:
    blobs = BlobFolder(tmp_path)
    run = values.pack(["a", [1, 2]])
    (blobs.create("w", "r1") / "a-0").write_bytes(run)
    payload = Payload(1, len(run), None, "a-0", zlib.crc32(run), pairs=2)
    data = stage_data(blobs, (1, "mapper", [IN_PAYLOADS, [payload.to_wire()]]))
    found = made(tmp_path).stage(data, 1, "mapper")
    assert found is not None
    assert found.value == [["a", [1, 2]]]


RUN = Payload(1, 1, None, "a-0", 0)


def wire(**changes: Any) -> list[Any]:
    return list(msgspec.structs.replace(RUN, **changes).to_wire())


@pytest.mark.parametrize(
    ("yielded", "reason"),
    [
        ([IN_PAYLOADS, [wire(blob="../a")]], "no name of a blob"),
        ([IN_PAYLOADS, [wire(blob="..")]], "no name of a blob"),
        ([IN_PAYLOADS, [wire(blob="a\0")]], "no name of a blob"),
        ([IN_PAYLOADS, [wire(blob=None, inline=b"a")]], "no name of a blob"),
        ([IN_PAYLOADS, [wire(blob=1)]], "Expected `str"),
        ([IN_PAYLOADS, [wire(size_bytes=-1)]], "Expected `int` >= 0"),
        ([IN_PAYLOADS, [wire(sections=(1 << 40,))]], "not as long"),
        ([IN_PAYLOADS, [wire(sections=(2, 1))]], "not as long"),
        ([IN_PAYLOADS, [wire(sections=(1, 1), sums=b"abcd")]], "a checksum for each"),
        ([IN_PAYLOADS, [[1]]], "Expected `array`"),
        ([IN_PAYLOADS, 1], "Expected `array`"),
        ([IN_PAYLOADS], "Expected `array`"),
        (["a"], "is damaged"),
        ([[1]], "is damaged"),
        ("a", "is damaged"),
        (1, "is damaged"),
        (None, "is damaged"),
    ],
)
def test_what_no_executor_keeps_of_a_stage_is_damage(
    yielded: object, reason: str, tmp_path: Path
) -> None:
    data = stage_data(BlobFolder(tmp_path), (1, "mapper", yielded))
    with pytest.raises(InvalidInput, match=reason):
        made(tmp_path).stage(data, 1, "mapper")


@pytest.mark.parametrize("is_redacted", [False, True])
def test_what_nests_deeper_than_values_may_is_damage(is_redacted: bool, tmp_path: Path) -> None:
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    data = stage_data(BlobFolder(tmp_path), (1, "mapper", {"a": deep}))
    with pytest.raises(InvalidInput, match="nests deeper than 64"):
        made(tmp_path, is_redacted=is_redacted).stage(data, 1, "mapper")


def test_no_more_of_a_blob_of_stages_is_read_than_a_node_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = BlobFolder(tmp_path)
    first, second = (values.pack([n, "mapper", 1, values.pack({"a": [n]})]) for n in (1, 2))
    monkeypatch.setattr(dump_values, "_MOST_BYTES", len(first))
    (blobs.create("w", "r1") / "y-stages").write_bytes(first + second)
    data = StageData("y-stages", len(first + second), 0)
    dumped = made(tmp_path)
    assert dumped.stage(data, 1, "mapper") == Shown([["a", [1]]])
    assert dumped.stage(data, 2, "mapper") is None


def test_a_record_of_a_stage_that_is_not_packed_is_damage(tmp_path: Path) -> None:
    blobs = BlobFolder(tmp_path)
    body = values.pack([1, "mapper", 1, 5])
    (blobs.create("w", "r1") / "y-stages").write_bytes(body)
    data = StageData("y-stages", len(body), zlib.crc32(body))
    with pytest.raises(InvalidInput, match="not packed"):
        made(tmp_path).stage(data, 1, "mapper")


def test_a_blob_of_stages_that_is_damaged_is_an_error_and_one_that_lacks_a_vertex_is_none(
    tmp_path: Path,
) -> None:
    data = stage_data(BlobFolder(tmp_path), (1, "mapper", {}))
    assert made(tmp_path).stage(data, 2, "mapper") is None
    with pytest.raises(BlobDamaged):
        made(tmp_path).stage(data._replace(checksum=1), 1, "mapper")
    (tmp_path / "w" / "r1" / data.blob).write_bytes(b"no zlib")
    data = data._replace(size_bytes=7, checksum=zlib.crc32(b"no zlib"))
    with pytest.raises(InvalidInput, match="is damaged"):
        made(tmp_path).stage(data, 1, "mapper")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("abc", "<3 characters>"),
        ([1, 2.5, None, True], ["<int>", "<float>", None, True]),
        ({"secret": {"a": "b"}}, {"<0>": {"<0>": "<1 characters>"}}),
    ],
)
def test_redacted_values_have_their_shape(value: Any, shown: Any) -> None:
    assert redacted(value) == shown


def test_values_that_json_lacks_are_tagged(tmp_path: Path) -> None:
    assert made(tmp_path).show([b"a", (1, 2)]) == [{"$bytes": "YQ=="}, [1, 2]]
    assert pack_offsets([]) == b""
