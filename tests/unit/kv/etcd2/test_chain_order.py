"""Which chains of a commit may be written side by side."""

from __future__ import annotations

import pytest

from jobx.kv.etcd2.chain_order import waits
from jobx.kv.store import Chain, Create, Delete, DeletePrefix, Put


@pytest.mark.parametrize(
    ("chains", "expected"),
    [
        ([], []),
        ([[[Create("a", b"")]], [[Create("b", b"")]]], [set(), set()]),
        ([[[Create("a", b"")]], [[Create("b", b""), Delete("a")]]], [set(), {0}]),
        ([[[Put("a", b"")]], [[Put("a", b"")]], [[Put("a", b"")]]], [set(), {0}, {1}]),
        ([[[Put("a/b", b"")]], [[DeletePrefix("a/")]], [[Put("a/c", b"")]]], [set(), {0}, {1}]),
        (
            [[[DeletePrefix("a/")]], [[DeletePrefix("a/b")]], [[DeletePrefix("b")]]],
            [set(), {0}, set()],
        ),
        ([[[Put("a", b"")], [Put("a", b"")]]], [set()]),
    ],
    ids=str,
)
def test_a_chain_waits_for_those_before_that_write_its_keys(
    chains: list[Chain], expected: list[set[int]]
) -> None:
    assert waits(chains) == expected
