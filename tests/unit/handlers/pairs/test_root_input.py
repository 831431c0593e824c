"""Arguments on their way: checked before anything is accepted, large ones in blobs."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from jobx.errors import ArgumentsRefused, StoreFull
from jobx.handlers.blobs.blob_file import BlobFile
from jobx.handlers.pairs.root_input import BLOB, RootInputs, chunk, pack
from jobx.handlers.pairs.run_writer import RunWriter
from jobx.handlers.scope.arguments import Takes
from jobx.kv.blobs import BlobFolder
from jobx.payload import Payload

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
