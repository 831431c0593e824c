"""The next number of the log of a request, over every back end."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobx.kv import keys
from jobx.kv.requests import event_log
from jobx.kv.sqlite.store import SqliteStore
from jobx.kv.store import (
    Put,
)
from tests.support.stores import ALL_KINDS, OpenStore
from tests.support.tested_store import damage_sqlite


@pytest.mark.parametrize("name", ALL_KINDS)
@settings(max_examples=15, deadline=None)
@given(known=st.integers(0, 40), more=st.sets(st.integers(0, 300), max_size=100))
def test_the_next_number_of_a_log_is_found_as_by_its_last_key(
    name: str,
    open_store: OpenStore,
    tmp_path_factory: pytest.TempPathFactory,
    known: int,
    more: set[int],
) -> None:
    numbers = {*range(known), *(known + number for number in more)}
    with closing(open_store(name, tmp_path_factory.mktemp("store"))) as store:
        store.commit([Put(keys.event("w", "another", 900), b"")])
        store.commit_many([[[Put(keys.event("w", "r", number), b"")] for number in numbers]])
        last = [int(e.key[-10:]) for e in store.range(keys.log("w", "r"), reverse=True, limit=1)]
        for least in (0, known):
            assert event_log.next_number(store, "w", "r", least) == max(last, default=-1) + 1


@pytest.mark.parametrize("damaged", [0, 2, 8])
def test_a_damaged_event_counts_for_the_next_number(damaged: int, tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "store.db")) as store:
        store.commit([Put(keys.event("w", "r", number), b"") for number in range(9)])
        damage_sqlite(store, keys.event("w", "r", damaged), tmp_path)
        assert event_log.next_number(store, "w", "r") == 9
