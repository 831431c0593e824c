"""Replies that wait for a program to read them."""

from __future__ import annotations

import pytest

from jobx.handlers.languages.exchange import MAX_REPLIES, Replies

LARGE = 17 << 20


@pytest.mark.parametrize(
    ("sizes", "are_too_many"),
    [
        ([], False),
        ([LARGE], False),
        ([1, 1], False),
        ([LARGE, 1], True),
        ([1, LARGE], True),
        ([0] * MAX_REPLIES, False),
        ([0] * (MAX_REPLIES + 1), True),
    ],
    ids=["none", "a large one", "two", "one behind it", "it behind one", "as many", "one more"],
)
def test_one_reply_of_any_size_may_wait(sizes: list[int], are_too_many: bool) -> None:
    replies = Replies()
    for size_bytes in sizes:
        replies.add([], size_bytes)
    assert replies.are_too_many == are_too_many
