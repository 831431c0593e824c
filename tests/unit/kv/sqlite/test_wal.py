"""A write-ahead log that a killed process left, with a bit that is not what was written."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jobx.errors import StoreRefused
from jobx.kv.sqlite import wal
from jobx.kv.sqlite.store import SqliteStore

COMMITS = 60
#: Commits one after the other, and dies.
WRITE = """
import os, signal, sys
from pathlib import Path
from jobx.kv.sqlite.store import SqliteStore
from jobx.kv.store import Put
store = SqliteStore(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    store.commit([Put(f"k{number:03}", bytes(500))])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose only process was killed after its last commit."""
    path = tmp_path_factory.mktemp("killed") / "jobx.sqlite"
    subprocess.run([sys.executable, "-c", WRITE, str(path), str(COMMITS)], check=False, timeout=60)
    return path


@pytest.fixture
def store(killed: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    for part in killed.parent.iterdir():
        shutil.copy(part, tmp_path)
    return tmp_path / killed.name


def log_of(store: Path) -> Path:
    return store.with_name(f"{store.name}-wal")


def flip(path: Path, offset: int, bit: int = 0) -> None:
    body = bytearray(path.read_bytes())
    body[offset] ^= 1 << bit
    path.write_bytes(body)


def keys_in(path: Path) -> int:
    """Return how many entries a store has, when SQLite alone says so."""
    store = SqliteStore(path)
    try:
        return len(store.range("k"))
    finally:
        store.close()


def test_what_a_killed_process_committed_is_there(store: Path) -> None:
    assert wal.find(log_of(store)) is None
    SqliteStore(store, is_alone=True).close()
    assert keys_in(store) == COMMITS


def test_sqlite_alone_would_lose_in_silence_what_is_behind_a_flipped_bit(store: Path) -> None:
    flip(log_of(store), log_of(store).stat().st_size // 2)
    assert 0 < keys_in(store) < COMMITS


def test_a_flipped_bit_before_a_later_commit_is_found_wherever_it_is(
    killed: Path, tmp_path: Path
) -> None:
    rng, log = random.Random(1), log_of(killed)
    copy = tmp_path / log.name
    body = log.read_bytes()
    # What is in the last commits may also be what a power cut left.
    durable = len(body) - 12 * 4120
    for _ in range(60):
        shutil.copy(log, copy)
        flip(copy, rng.randrange(durable), rng.randrange(8))
        damage = wal.find(copy)
        assert damage is not None
        assert body[: damage.offset] == copy.read_bytes()[: damage.offset]


def test_a_damaged_log_is_named_and_left_as_it_is(store: Path) -> None:
    log = log_of(store)
    flip(log, log.stat().st_size // 2)
    before = log.read_bytes()
    for _ in range(2):
        with pytest.raises(StoreRefused, match=r"jobx\.sqlite-wal.*truncate -s \d+ "):
            SqliteStore(store, is_alone=True)
    assert log.read_bytes() == before


def test_the_way_out_that_is_told_goes_on_without_what_is_lost(store: Path) -> None:
    log = log_of(store)
    flip(log, log.stat().st_size // 2)
    damage = wal.find(log)
    assert damage is not None
    os.truncate(log, damage.offset)
    SqliteStore(store, is_alone=True).close()
    assert 0 < keys_in(store) <= COMMITS - damage.commits


@pytest.mark.parametrize("left", [0, 16, 4096, 4120 + 100, 20_000])
def test_a_log_that_ends_anywhere_is_what_a_kill_leaves(store: Path, left: int) -> None:
    os.truncate(log_of(store), left)
    assert wal.find(log_of(store)) is None


def test_a_torn_last_commit_is_what_a_power_cut_leaves(store: Path) -> None:
    log = log_of(store)
    flip(log, log.stat().st_size - 100)
    assert wal.find(log) is None


def test_frames_of_an_earlier_log_are_none_of_this_one(store: Path) -> None:
    again = subprocess.run(
        [sys.executable, "-c", WRITE, str(store), "3"], check=False, timeout=60
    )  # the log begins anew, in the same file, where all of it had been moved
    assert again.returncode == -9
    assert wal.find(log_of(store)) is None


def test_a_store_without_a_log_is_fine(tmp_path: Path) -> None:
    assert wal.find(tmp_path / "jobx.sqlite-wal") is None
