from __future__ import annotations

from collections import Counter

from jobx.actors.request.standing import Backoff, Backoffs


def test_back_offs_beyond_the_first_ones_are_counted_until_they_end() -> None:
    waits = Backoffs()
    for vertex in range(5):
        waits.begin((vertex, -1), Backoff(1.0, "", step="s"))
    waits.begin((9, 2), Backoff(1.0, "", step="s"))
    waits.end((4, -1))
    waits.end((4, -1))
    assert [target for target, _ in waits.first(2)] == [(0, -1), (1, -1)]
    assert waits.beyond(2) == Counter({("s", True): 2, ("s", False): 1})
    assert waits.beyond(5) == Counter()


def test_a_back_off_that_begins_again_counts_once() -> None:
    waits = Backoffs()
    for _ in range(3):
        waits.begin((1, -1), Backoff(1.0, "", step="s"))
    assert waits.beyond(0) == Counter({("s", True): 1})
