"""How units of writes become transactions of etcd; the contract says that they do the same."""

from __future__ import annotations

import pytest

from jobx.kv.etcd.transactions import Space, groups
from jobx.kv.net_effect import play
from jobx.kv.store import DeletePrefix, Limits, Put, Unit

LIMITS = Limits(writes=3, size_bytes=100)


def test_ranges_that_are_removed_leave_out_what_is_written_in_them() -> None:
    request = Space("r/").transaction(play([DeletePrefix("a"), Put("ab", b""), Put("aa", b"")]))
    removed = [op.request_delete_range for op in request.success if op.HasField(_RANGE)]
    assert [(one.key, one.range_end) for one in removed] == [
        (b"r/a", b"r/aa"),
        (b"r/aa\0", b"r/ab"),
        (b"r/ab\0", b"r/b"),
    ]


_RANGE = "request_delete_range"


@pytest.mark.parametrize(
    ("chains", "sizes"),
    [
        ([], []),
        ([[[Put("a", b"")]], [[Put("b", b"")], [Put("c", b"")]], [[Put("d", b"")]]], [3, 1]),
        ([[[Put("a", b"")], [Put("a", b"")], [Put("a", b"")], [Put("a", b"")]]], [4]),
        ([[[Put("a", b"x" * 60)], [Put("b", b"x" * 60)]]], [1, 1]),
        ([[[Put("a", b"x" * 200)]], [[Put("b", b"")]]], [1, 1]),
    ],
    ids=["none", "by writes", "of one key", "by bytes", "too large"],
)
def test_chains_are_cut_into_groups_that_fit(chains: list[list[Unit]], sizes: list[int]) -> None:
    found = list(groups(chains, LIMITS))
    assert [len(group) for group in found] == sizes
    numbered = [(number, unit) for number, chain in enumerate(chains) for unit in chain]
    assert [one for group in found for one in group] == numbered


def test_a_store_without_a_root_has_all_keys() -> None:
    space = Space("")
    assert space.bounds("", None) == (b"\0", b"\0")
    assert Space("r/").bounds("", None) == (b"r/", b"r0")
