"""Entries that are not what was written: found wherever they stand, and never given out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobx.errors import EntryDamaged, StoreRefused
from jobx.kv.sqlite.store import SqliteStore
from jobx.kv.store import Put

KEYS = [f"k/{number}" for number in range(5)]
#: The table as it was before entries had checksums.
OLD = """
CREATE TABLE kv (key TEXT PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE TABLE counter (revision INTEGER NOT NULL);
INSERT INTO counter VALUES (7);
INSERT INTO kv VALUES ('old', x'01', 7);
PRAGMA user_version = 1;
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    store = SqliteStore(tmp_path / "jobx.sqlite")
    store.commit([Put(key, f"value of {key}".encode()) for key in KEYS])
    store.close()
    return tmp_path / "jobx.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(path)
    yield opened
    opened.close()


def replace_in_file(path: Path, old: bytes, new: bytes) -> None:
    body = path.read_bytes()
    assert body.count(old) == 1
    path.write_bytes(body.replace(old, new))


def test_value_that_was_altered_is_named_and_not_given_out(path: Path) -> None:
    replace_in_file(path, b"value of k/2", b"value of k/7")
    store = SqliteStore(path)
    with pytest.raises(EntryDamaged, match="k/2"):
        store.get("k/2")
    with pytest.raises(EntryDamaged, match="k/2"):
        store.range("k/")
    store.close()


@pytest.mark.parametrize("reverse", [False, True])
def test_entries_beside_a_damaged_one_can_be_read(path: Path, reverse: bool) -> None:
    replace_in_file(path, b"value of k/2", b"value of k/7")
    store = SqliteStore(path)
    damaged: list[EntryDamaged] = []
    found = [entry.key for entry in store.range("k/", reverse=reverse, damaged=damaged)]
    assert sorted(found) == [key for key in KEYS if key != "k/2"]
    assert [error.args[0] for error in damaged] == ["k/2"]
    store.close()


@pytest.mark.parametrize("altered", [b"A/2", b"z/2", b"k/9", b"\xff/2"], ids=repr)
@pytest.mark.parametrize("reverse", [False, True])
def test_key_that_was_altered_is_missed(path: Path, altered: bytes, reverse: bool) -> None:
    replace_in_file(path, b"k/2value", altered + b"value")
    store = SqliteStore(path)
    with pytest.raises(EntryDamaged):
        store.get("k/2")
    with pytest.raises(EntryDamaged):
        store.range("k/", reverse=reverse)
    store.close()


def test_what_is_damaged_beyond_a_range_is_nothing_to_it(path: Path) -> None:
    replace_in_file(path, b"value of k/4", b"value of k/7")
    store = SqliteStore(path)
    assert len(store.range("k/", limit=3)) == 3
    store.close()


def test_store_whose_pages_are_damaged_is_refused_when_it_is_checked(path: Path) -> None:
    body = bytearray(path.read_bytes())
    page = body.index(b"value of k/2") // 4096 * 4096
    body[page + 4] ^= 1  # the number of cells
    path.write_bytes(body)
    store = SqliteStore(path)
    with pytest.raises(StoreRefused, match="backup"):
        store.check()
    store.close()


def test_store_that_is_whole_passes_its_check(store: SqliteStore) -> None:
    store.check()
    assert store.size_bytes() > 4096


def test_store_from_before_checksums_is_read_and_gets_them_as_it_is_written(
    tmp_path: Path,
) -> None:
    path = tmp_path / "jobx.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(OLD)
    connection.close()
    store = SqliteStore(path)
    entry = store.get("old")
    assert entry is not None and (entry.value, entry.revision) == (b"\1", 7)
    store.commit([Put("old", b"a long value")])
    store.close()
    replace_in_file(path, b"a long value", b"a song value")
    store = SqliteStore(path)
    with pytest.raises(EntryDamaged):
        store.get("old")
    store.close()
