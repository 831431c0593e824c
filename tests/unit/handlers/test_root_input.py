"""Arguments on their way: checked before anything is accepted, large ones in blobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobx.errors import ArgumentsRefused
from jobx.handlers.arguments import Takes
from jobx.handlers.root_input import BLOB, RootInputs, pack
from jobx.kv.blobs import BlobFolder

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
    assert inputs.keep("w", "r1", small).inline == small
    payload = inputs.keep("w", "r2", large)
    assert payload.inline is None
    assert (tmp_path / "w" / "r2" / BLOB).read_bytes() == large
    assert inputs.read("w", "r2", payload) == {"a": "x" * 1000}
    inputs.drop("w", "r2")
    assert not (tmp_path / "w" / "r2").exists()
