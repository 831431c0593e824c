from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.kv.memory import MemoryStore
from jobx.kv.prefixes import branches, prefix_end, scan, span
from jobx.kv.store import Put

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)


@pytest.mark.parametrize(
    ("prefix", "end"),
    [
        ("", None),
        ("a", "b"),
        ("a/", "a0"),
        ("a\ud7ff", "a\ue000"),
        ("a\U0010ffff", "b"),
        ("\U0010ffff\U0010ffff", None),
    ],
    ids=ascii,
)
def test_the_end_of_a_prefix_steps_over_what_is_no_character(prefix: str, end: str | None) -> None:
    assert prefix_end(prefix) == end


@given(prefix=TEXT, key=TEXT)
def test_a_key_is_in_the_span_of_a_prefix_exactly_when_it_starts_with_it(
    prefix: str, key: str
) -> None:
    low, high = span(prefix, None, reverse=False)
    assert (low <= key and (high is None or key < high)) == key.startswith(prefix)


@given(prefix=TEXT, after=TEXT, key=TEXT)
def test_a_cursor_cuts_the_span_on_its_side(prefix: str, after: str, key: str) -> None:
    for reverse, beyond in ((False, key > after), (True, key < after)):
        low, high = span(prefix, after, reverse)
        inside = low <= key and (high is None or key < high)
        assert inside == (key.startswith(prefix) and beyond)


@pytest.mark.parametrize("count", [0, 2, 3, 4, 7])
@pytest.mark.parametrize("reverse", [False, True])
def test_scan_reads_all_pages(count: int, reverse: bool) -> None:
    store = MemoryStore()
    store.commit([Put(f"p/{number}", b"") for number in range(count)])
    found = list(scan(store, "p/", reverse=reverse, page=3))
    assert found == store.range("p/", reverse=reverse)


@pytest.mark.parametrize("short", ["p/w", "p/w/a", "p/", "p/0", "p/zz"])
def test_a_key_that_is_too_short_hides_no_branch(short: str) -> None:
    store = MemoryStore()
    store.commit([Put(key, b"") for key in (short, "p/w/a/1", "p/w/b/1", "p/x/a/1")])
    assert [*branches(store, "p/", levels=2)] == ["p/w/a/", "p/w/b/", "p/x/a/"]
