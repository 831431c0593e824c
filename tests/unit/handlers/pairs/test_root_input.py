"""Arguments on their way: checked before anything is accepted, large ones in blobs."""

from __future__ import annotations

import errno
import os
import zlib
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from jobx import values
from jobx.errors import ArgumentsRefused, BlobDamaged, InvalidInput, StoreFull
from jobx.handlers.blobs.blob_file import BlobFile
from jobx.handlers.pairs.root_input import (
    BLOB,
    Packed,
    RootInputs,
    chunk,
    outline,
    outlined,
    pack,
    packed,
)
from jobx.handlers.pairs.run_writer import RunWriter
from jobx.handlers.scope.arguments import Takes
from jobx.kv.blobs import BlobFolder
from jobx.payload import Payload
from jobx.questions import KeptArguments

TAKES = Takes((("n", "int"), ("text", "str")), ("text",))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "argument n is missing"),
        ({"n": "seven"}, "argument n: 'seven' is not a valid int"),
        ({"n": 1, "m": 2}, "argument 'm' is unknown"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_with_what_is_allowed(
    given: dict[str, object], said: str
) -> None:
    with pytest.raises(ArgumentsRefused, match="text: str or nothing") as refused:
        TAKES.check("w/j", given)
    assert said in str(refused.value)


def test_arguments_that_fit_are_taken() -> None:
    TAKES.check("w/j", {"n": "7"})


def test_large_arguments_are_a_blob_and_small_ones_are_not(tmp_path: Path) -> None:
    inputs = RootInputs(BlobFolder(tmp_path), inline_bytes=1000)
    small, large = pack({"a": "x"}), pack({"a": "x" * 1000})
    assert inputs.keep("w", "r1", small) == small
    payload = chunk(inputs.keep("w", "r2", large))
    assert payload.inline is None
    assert (tmp_path / "w" / "r2" / BLOB).read_bytes() == large
    assert inputs.outline("w", "r2", payload) == {"a": "x" * 1000}
    inputs.drop("w", "r2")
    assert not (tmp_path / "w" / "r2").exists()


LARGE = {
    "text": "x" * 1_000_000,
    "not quite large": "x" * 131_072,
    "of two bytes": "é" * 300_000,
    "integer": 1 << 70,
    "decimal": Decimal("1.5"),
    "listed": ["y" * 200_000, b"bytes"],
    "another text": "z" * 131_073,
    "name of é": "z" * 131_073,
}


@pytest.mark.parametrize("count", range(1, len(LARGE) + 1))
def test_packed_in_pieces_arguments_are_the_same(tmp_path: Path, count: int) -> None:
    given = dict(islice(LARGE.items(), count))
    item, whole = packed(given), pack(given)
    assert isinstance(item, Packed)
    assert len(item) == len(whole)
    assert bytes(item) == whole
    assert max(map(len, item)) < 700_000
    kept = RootInputs(BlobFolder(tmp_path), inline_bytes=1000).keep("w", "r", item)
    assert kept == KeptArguments(len(whole), zlib.crc32(whole))


@pytest.mark.parametrize("count", [16, 70_000])
def test_many_arguments_packed_in_pieces_are_the_same(count: int) -> None:
    given = {f"a{number}": number for number in range(count)} | {"text": "x" * 200_000}
    assert bytes(packed(given)) == pack(given)


def test_arguments_in_pieces_that_are_not_large_for_a_node_are_inline(tmp_path: Path) -> None:
    inputs = RootInputs(BlobFolder(tmp_path), inline_bytes=1 << 20)
    given = {"text": "x" * 200_000}
    assert inputs.keep("w", "r", packed(given)) == pack(given)


@pytest.mark.parametrize("bad", ["\udc80", float("nan"), object()])
def test_what_is_no_value_beside_a_large_text_is_refused_as_otherwise(bad: object) -> None:
    given = {"text": "x" * 200_000, "bad": [bad, Decimal(1)]}
    try:
        whole = pack(given)
    except InvalidInput as error:
        with pytest.raises(InvalidInput) as refused:
            packed(given)
        assert refused.value.args[2] == error.args[2]
    else:
        assert bytes(packed(given)) == whole


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_damage_of_large_arguments_is_not_taken_for_a_mistake_of_who_asks(
    tmp_path: Path, damage: str
) -> None:
    inputs = RootInputs(BlobFolder(tmp_path), inline_bytes=1000)
    item = pack({"a": "x" * 1000})
    payload, blob = chunk(inputs.keep("w", "r", item)), tmp_path / "w" / "r" / BLOB
    if damage == "gone":
        blob.unlink()
    else:
        blob.write_bytes(item[:-1] if damage == "cut" else item[:-1] + b"y")
    with pytest.raises(BlobDamaged):
        inputs.outline("w", "r", payload)


@pytest.mark.parametrize("partitions", [1, 4])
def test_a_run_says_how_many_pairs_it_has_and_not_only_keys(
    tmp_path: Path, partitions: int
) -> None:
    items = [("a", [1, 2, 3]), ("b", [4]), ("c", list(range(5000)))]
    payload = RunWriter(str(tmp_path), "run", 1 << 20, partitions).run(items, in_sections=True)
    assert payload.pair_count == 5004
    assert Payload.from_wire(payload.to_wire()).pair_count == 5004
    assert Payload.from_wire(payload.to_wire()[:7]).pair_count == payload.count


@pytest.mark.parametrize("call", ["open", "write", "fsync"])
def test_arguments_that_cannot_be_written_leave_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "no room")

    inputs = RootInputs(BlobFolder(tmp_path), inline_bytes=10)
    if call == "fsync":
        monkeypatch.setattr(os, "fsync", refuse)
    elif call == "open":
        monkeypatch.setattr("builtins.open", refuse)
    else:
        monkeypatch.setattr(BlobFile, "write", lambda *_: refuse_as_full())
    with pytest.raises(StoreFull):
        inputs.keep("w", "r", b"x" * 100)
    assert list(BlobFolder(tmp_path).requests()) == []


def refuse_as_full() -> None:
    raise StoreFull("blobs", "no room")


class Elsewhere:
    """A shared place that takes everything."""

    def put(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("shared", "may_sync_later", "is_synced"),
    [(None, False, True), (None, True, False), (Elsewhere(), True, True)],
    ids=["at once", "later", "shared"],
)
def test_arguments_say_whether_they_are_synced(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shared: Any,
    may_sync_later: bool,
    is_synced: bool,
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    inputs = RootInputs(BlobFolder(tmp_path, shared), inline_bytes=10)
    kept = inputs.keep("w", "r", b"x" * 100, may_sync_later=may_sync_later)
    assert isinstance(kept, KeptArguments)
    assert kept.is_synced == bool(synced) == is_synced


ARGUMENTS = [
    {},
    {"n": 1, "f": 0.5, "t": "é", "b": b"\0", "no": None, "yes": True},
    {"n": 1 << 80, "t": "x"},
    {"long": "x" * 100_000, "list": [1, [2]], "map": {"a": {"b": 1}}, "d": Decimal("1.5")},
]


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_arguments_are_packed_like_all_values(arguments: dict[str, Any]) -> None:
    assert pack(arguments) == values.pack([list(pair) for pair in arguments.items()])


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_an_outline_lacks_only_what_is_large(arguments: dict[str, Any]) -> None:
    whole = values.outline(pack(arguments))
    brief = outlined(KeptArguments(1, 1, outline(arguments)))
    assert brief is not None
    assert brief.keys() == whole.keys()
    for name, value in whole.items():
        assert brief[name] == (value[:5000] if isinstance(value, str) else value)


def test_what_is_too_much_for_an_outline_has_none() -> None:
    assert outline({f"a{n}": n for n in range(2000)}) == b""
    assert outline({f"a{n}": "x" * 5000 for n in range(20)}) == b""
    assert outlined(KeptArguments(1, 1, b"")) is None
    assert outlined(pack({"a": 1})) is None


def test_an_argument_that_is_no_text_is_refused_however_it_is_packed() -> None:
    with pytest.raises(InvalidInput):
        pack({"a": "\ud800"})
