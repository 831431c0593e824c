from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from jobx import values
from jobx.errors import BlobDamaged, BlobUnreadable, StoreRefused, StoreUnavailable
from jobx.handlers.blobs.shared import SharedBlobs, SharedFolder
from jobx.handlers.files.local import Local
from jobx.handlers.pairs import run_merger, run_reader
from jobx.handlers.pairs.columns import Block
from jobx.handlers.pairs.merged_groups import Merged
from jobx.handlers.pairs.run_writer import RunWriter, write_run
from jobx.payload import Payload
from tests.support.processes import open_below

MIXED = st.one_of(
    st.booleans(), st.integers(-3, 3), st.just(1.0), st.text("ab", max_size=2), st.none()
)


def _run(writer: RunWriter, pairs: Sequence[Any], in_sections: bool = False) -> Payload:
    items = [(key, [value]) for key, value in sorted(pairs, key=lambda p: values.sort_key(p[0]))]
    return writer.run(items, in_sections)


def _expected(lists: Sequence[Sequence[Any]]) -> list[Any]:
    """Pairs in key order; values of a key in the order of lists, first spelling of the key."""
    spelt: dict[Any, Any] = {}
    ordered = []
    for listed in lists:
        for key, value in sorted(listed, key=lambda pair: values.sort_key(pair[0])):
            ordered.append((spelt.setdefault(values.key_identity(key), key), value))
    return sorted(ordered, key=lambda pair: values.sort_key(pair[0]))


def _identities(pairs: Sequence[Any]) -> list[Any]:
    return [(values.key_identity(key), value) for key, value in pairs]


@given(
    lists=st.lists(st.lists(st.tuples(MIXED, st.integers()), max_size=12), max_size=8),
    inline_bytes=st.sampled_from([0, 1 << 20]),
    partitions=st.sampled_from([1, 3]),
)
def test_a_merge_gives_all_pairs_in_key_order_and_values_in_order_of_runs(
    tmp_path_factory: pytest.TempPathFactory,
    lists: list[list[Any]],
    inline_bytes: int,
    partitions: int,
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    writer = RunWriter(str(folder), "r", inline_bytes, partitions)
    payloads = [_run(writer, listed, in_sections=n % 2 == 0) for n, listed in enumerate(lists)]
    merged = list(run_merger.pairs(payloads, folder))
    assert _identities(merged) == _identities(_expected(lists))


@given(lists=st.lists(st.lists(st.tuples(MIXED, st.integers()), max_size=12), max_size=5))
def test_partitions_together_are_the_whole(
    tmp_path_factory: pytest.TempPathFactory, lists: list[list[Any]]
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    writers = [RunWriter(str(folder), f"{n}", 0, sections=2 + n % 2) for n in range(len(lists))]
    payloads = [
        _run(w, listed, n % 3 > 0) for n, (w, listed) in enumerate(zip(writers, lists, strict=True))
    ]
    parts = [list(run_merger.merge(payloads, folder, part, 3)) for part in range(3)]
    merged = [(key, value) for part in parts for key, listed in part for value in listed]
    merged.sort(key=lambda pair: values.sort_key(pair[0]))
    assert _identities(merged) == _identities(_expected(lists))


@given(
    lists=st.lists(st.lists(st.tuples(MIXED, st.integers()), max_size=12), max_size=5),
    columns=st.integers(0, 31),
    spill_bytes=st.sampled_from([0, 100]),
)
def test_groups_are_the_same_whether_runs_have_columns_or_items(
    tmp_path_factory: pytest.TempPathFactory,
    lists: list[list[Any]],
    columns: int,
    spill_bytes: int,
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    writer = RunWriter(str(folder), "r", 0)
    payloads = [
        _columns(writer.folder, number, listed) if columns >> number & 1 else _run(writer, listed)
        for number, listed in enumerate(lists)
    ]
    expected = [(key, [value]) for key, value in _expected(lists)]
    together = groupby(expected, key=lambda item: values.key_identity(item[0]))
    groups = [(identity, [one for _, (one,) in items]) for identity, items in together]
    merged = Merged(payloads, folder, spill_bytes)
    assert [(values.key_identity(key), list(of)) for key, of in merged] == groups


def _columns(folder: str, number: int, pairs: Sequence[Any]) -> Payload:
    """Write a run that has columns, however few its pairs are."""
    ordered = sorted(pairs, key=lambda pair: values.sort_key(pair[0]))
    block = Block([key for key, _ in ordered], [value for _, value in ordered], True)
    return write_run(folder, f"c{number}", [block] if pairs else [])


def test_runs_that_are_longer_than_a_block_are_merged(tmp_path: Path) -> None:
    writer = RunWriter(str(tmp_path), "r", 0)
    lists = [[(n, part) for n in range(part, 60_000, 3)] for part in range(3)]
    merged = run_merger.pairs([_run(writer, listed) for listed in lists], tmp_path)
    assert list(merged) == [(n, n % 3) for n in range(60_000)]


def test_a_key_that_reaches_over_blocks_keeps_the_order_of_runs(tmp_path: Path) -> None:
    writer = RunWriter(str(tmp_path), "r", 0)
    payloads = [
        writer.run([("a", [0]), ("hot", list(range(50_000))), ("z", [run])], False)
        for run in range(3)
    ]
    hot = [value for key, value in run_merger.pairs(payloads, tmp_path) if key == "hot"]
    assert hot == list(range(50_000)) * 3


def test_more_runs_than_can_be_open_are_merged_in_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_merger, "FAN_IN", 3)
    monkeypatch.setattr(run_merger, "_SMALL_BYTES", 0)
    writer = RunWriter(str(tmp_path), "r", 0)
    payloads = [writer.run([(n % 5, [n]), (9, [n])], False) for n in range(20)]
    merged = list(run_merger.pairs(payloads, tmp_path))
    expected = [(key, n) for key in range(5) for n in range(20) if n % 5 == key]
    assert merged == expected + [(9, n) for n in range(20)]


def _spoil(path: Path, how: str) -> None:
    body = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "short":
        path.write_bytes(body[:-1])
    elif how == "zeros":
        path.write_bytes(b"\0" * len(body))
    else:
        path.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))


@pytest.mark.parametrize("how", ["missing", "short", "zeros", "bit"])
def test_a_damaged_blob_is_found(tmp_path: Path, how: str) -> None:
    payload = RunWriter(str(tmp_path), "r", 0).run([(n, [n]) for n in range(100)], False)
    _spoil(tmp_path / str(payload.blob), how)
    with pytest.raises(BlobDamaged, match="r-0"):
        list(run_merger.merge([payload], tmp_path))


@pytest.mark.parametrize("how", ["missing", "short", "zeros", "bit"])
def test_a_damaged_section_is_found(tmp_path: Path, how: str) -> None:
    payload = RunWriter(str(tmp_path), "r", 0, 2).run([(n, [n]) for n in range(100)], True)
    _spoil(tmp_path / str(payload.blob), how)
    with pytest.raises(BlobDamaged, match="r-0"):
        list(run_merger.merge([payload], tmp_path, 1, 2))


@pytest.fixture
def copied(tmp_path: Path) -> tuple[Payload, Path, SharedFolder]:
    """Return a run in a shared place, its copy here, and the folder of that."""
    (tmp_path / "place" / "blobs").mkdir(parents=True)
    here = tmp_path / "flow" / "r1"
    payload = RunWriter(str(here), "r", 0).run([(n, [n]) for n in range(100)], False)
    shared = SharedBlobs("place:", lambda: Local(str(tmp_path / "place")), 60.0, 0.0)
    name = str(payload.blob)
    shared.put(str(here), name, payload.size_bytes, payload.checksum)
    return payload, here / name, shared.folder(str(here))


@pytest.mark.parametrize("how", ["zeros", "bit"])
def test_a_damaged_copy_is_fetched_again_for_the_next_reader(
    copied: tuple[Payload, Path, SharedFolder], how: str
) -> None:
    payload, copy, folder = copied
    _spoil(copy, how)
    with pytest.raises(BlobDamaged, match="r-0"):
        list(run_merger.merge([payload], folder))
    assert len(list(run_merger.merge([payload], folder))) == 100


def test_a_check_of_blobs_fetches_a_damaged_copy_again(
    copied: tuple[Payload, Path, SharedFolder],
) -> None:
    payload, copy, folder = copied
    _spoil(copy, "bit")
    run_reader.verify([payload], folder)
    assert len(list(run_merger.merge([payload], folder))) == 100


def test_what_is_damaged_in_another_section_is_nothing_to_a_reader_of_one(tmp_path: Path) -> None:
    payload = RunWriter(str(tmp_path), "r", 0, 2).run([(n, [n]) for n in range(100)], True)
    _spoil(tmp_path / str(payload.blob), "bit")
    found = {key for key, _ in run_merger.merge([payload], tmp_path, 0, 2)}
    assert found == {key for key in range(100) if values.partition_of(key, 2) == 0}
    with pytest.raises(BlobDamaged, match="r-0"):
        run_reader.verify([payload], tmp_path)


def test_sections_that_were_written_before_there_were_checksums_are_read(tmp_path: Path) -> None:
    payload = RunWriter(str(tmp_path), "r", 0, 2).run([(n, [n]) for n in range(100)], True)
    old = Payload.from_wire(payload.to_wire()[:-1])
    assert len(list(run_merger.merge([old], tmp_path))) == 100


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EMFILE, StoreUnavailable),
        (errno.ENFILE, StoreUnavailable),
        (errno.ENOMEM, StoreUnavailable),
        (errno.EACCES, BlobUnreadable),
        (errno.EIO, BlobUnreadable),
        (errno.ENOENT, BlobDamaged),
    ],
    ids=lambda value: errno.errorcode[value] if isinstance(value, int) else "",
)
@pytest.mark.parametrize("call", ["open", "pread"])
def test_a_blob_that_cannot_be_read_is_damaged_only_if_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, kind: type
) -> None:
    payload = RunWriter(str(tmp_path), "r", 0).run([(n, [n]) for n in range(100)], False)

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(kind, match="r-0") as caught:
        list(run_merger.merge([payload], tmp_path))
    assert type(caught.value) is kind


def test_blobs_are_not_open_while_nobody_takes_what_is_in_them(tmp_path: Path) -> None:
    writer = RunWriter(str(tmp_path), "r", 0)
    payloads = [writer.run([(n, ["x" * 100_000]) for n in range(5)], False) for _ in range(20)]
    reading = run_merger.pairs(payloads, tmp_path)
    for _ in range(30):
        next(reading)
    assert open_below(tmp_path) == []


def test_a_section_that_ends_inside_an_item_is_found(tmp_path: Path) -> None:
    payload = RunWriter(str(tmp_path), "r", 1 << 20, 2).run([(n, [n]) for n in range(9)], True)
    shifted = structs.replace(payload, sections=(payload.sections[0] - 1, payload.size_bytes))
    with pytest.raises(BlobDamaged):
        list(run_merger.merge([shifted], tmp_path, 0, 2))


def test_small_payloads_are_inline_and_large_ones_are_not(tmp_path: Path) -> None:
    writer = RunWriter(str(tmp_path), "r", inline_bytes=4)
    assert writer.run([(1, [1])], False).inline is not None
    large = writer.run([(1, ["long"])], False)
    assert (large.inline, large.blob) == (None, "r-0")


def test_no_part_of_a_blob_is_left_when_it_is_complete(tmp_path: Path) -> None:
    RunWriter(str(tmp_path / "made"), "r", 0, sync=True).run([(1, [1])], False)
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["r-0"]


def test_undo_removes_what_was_written_since_the_mark(tmp_path: Path) -> None:
    writer = RunWriter(str(tmp_path), "r", 0)
    writer.run([(1, [1])], False)
    mark = writer.written
    writer.run([(1, [1])], False)
    writer.undo(mark)
    assert [path.name for path in tmp_path.iterdir()] == ["r-0"]


def test_a_folder_that_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    writer = RunWriter(str(tmp_path / "file" / "below"), "r", 0)
    with pytest.raises(StoreRefused, match="below"):
        writer.run([(1, [1])], False)
