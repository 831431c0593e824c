"""What only the SQLite store does: one file, several processes, a disk that can be full."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobx.errors import (
    Conflict,
    InternalError,
    OutcomeUnknown,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
    TooLarge,
)
from jobx.kv.sqlite.errors import translate, translate_commit
from jobx.kv.sqlite.store import SqliteStore
from jobx.kv.store import CommitOutcome, Create, Delete, Put, Write
from tests.support.disks import small_disk
from tests.support.waiting import eventually

OPEN_AND_WRITE = """
import sys
from pathlib import Path
from jobx.kv.sqlite.store import SqliteStore
from jobx.kv.store import Create
store = SqliteStore(Path(sys.argv[1]))
store.commit([Create(sys.argv[2], b"")])
store.close()
"""
WRITE_FOR_EVER = """
import sys
from pathlib import Path
from jobx.kv.sqlite.store import SqliteStore
from jobx.kv.store import Create
store = SqliteStore(Path(sys.argv[1]))
for number in range(1 << 30):
    groups = [[Create(f"{sys.argv[2]}/{number}/{group}/{part}", b"x" * 500) for part in range(3)]
              for group in range(20)]
    store.commit_many([[group] for group in groups])
    print(number, flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(path)
    yield opened
    opened.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 1 << 20) as folder:
        yield folder


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def keys_of(store: SqliteStore) -> list[str]:
    return [entry.key for entry in store.range("")]


def test_what_was_committed_is_there_when_opened_again(path: Path) -> None:
    first = SqliteStore(path)
    first.commit([Put("a", b"1")])
    before = first.get("a")
    first.close()
    second = SqliteStore(path)
    try:
        assert second.get("a") == before
    finally:
        second.close()


@pytest.mark.parametrize("count", [1, 3, 7, 255, 256])
def test_each_kind_of_write_is_one_statement_of_a_few_shapes(
    store: SqliteStore, count: int
) -> None:
    store.commit_many([[[Put(f"gone{n}", b"")] for n in range(count)]])
    seen: list[str] = []
    store._writer.set_trace_callback(seen.append)
    units = [[Create(f"c{n}", b"c"), Put(f"p{n}", b"p"), Delete(f"gone{n}")] for n in range(count)]
    assert store.commit_many([units]) == [CommitOutcome(count)]
    assert [sql.split()[0] for sql in seen] == [
        "BEGIN", "UPDATE", "INSERT", "INSERT", "DELETE", "COMMIT"
    ]  # fmt: skip
    assert len(keys_of(store)) == 2 * count


def test_two_stores_on_one_file_share_conditions_and_revisions(
    store: SqliteStore, path: Path
) -> None:
    other = SqliteStore(path)
    try:
        store.commit([Create("a", b"1")])
        with pytest.raises(Conflict):
            other.commit([Create("a", b"2")])
        other.commit([Put("a", b"3")])
        assert store.get("a") == other.get("a")
    finally:
        other.close()


def test_wait_sees_a_write_of_another_process(store: SqliteStore, path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(store.wait, "a", 0, 30.0)
        with start(OPEN_AND_WRITE, path, "a") as process:
            entry = waiting.result(60)
    assert process.returncode == 0
    assert entry is not None


def test_processes_that_open_a_new_file_at_once_all_succeed(path: Path) -> None:
    processes = [start(OPEN_AND_WRITE, path, f"key{number}") for number in range(4)]
    assert [process.communicate(timeout=60)[0] or process.returncode for process in processes] == [
        0
    ] * 4


def test_wal_is_gone_after_close(path: Path) -> None:
    store = SqliteStore(path)
    store.commit([Put("a", b"x" * 100_000)])
    store.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_wal_is_emptied_at_close_while_others_have_the_file(store: SqliteStore, path: Path) -> None:
    other = SqliteStore(path)
    other.commit([Put("a", b"x" * 100_000)])
    other.close()
    assert path.with_name(f"{path.name}-wal").stat().st_size == 0


def test_wal_stays_bounded_under_writes(store: SqliteStore, path: Path) -> None:
    for number in range(100):
        store.commit([Put(f"a{number % 5}", os.urandom(500_000))])
    assert path.with_name(f"{path.name}-wal").stat().st_size < 30_000_000


def test_open_refuses_the_file_of_a_newer_version_by_name(path: Path) -> None:
    SqliteStore(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreRefused, match="newer JobX wrote it"):
        SqliteStore(path)


def test_open_refuses_the_database_of_something_else(path: Path) -> None:
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE other (a)")
    connection.close()
    with pytest.raises(StoreRefused, match="another program"):
        SqliteStore(path)


def test_open_refuses_a_file_that_is_no_database(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreRefused, match="not a database"):
        SqliteStore(path)


def test_a_file_that_is_refused_is_not_left_open(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreRefused) as refused:  # it holds the frames, and what they hold
        SqliteStore(path)
    assert path not in map(Path.resolve, Path("/proc/self/fd").iterdir())
    assert refused.value.__cause__ is not None


def test_open_refuses_a_folder_under_the_name_of_the_file(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StoreRefused):
        SqliteStore(path)


def test_open_refuses_a_folder_that_is_read_only(bound_folder: Path) -> None:
    bound_folder.chmod(0o500)
    with pytest.raises(StoreRefused, match="unable to open"):
        SqliteStore(bound_folder / "store.db")


def test_open_refuses_a_folder_that_cannot_be_created(bound_folder: Path) -> None:
    bound_folder.chmod(0o500)
    with pytest.raises(StoreRefused, match="Permission denied"):
        SqliteStore(bound_folder / "deeper" / "store.db")


def test_open_refuses_a_file_that_is_read_only(bound_folder: Path) -> None:
    path = bound_folder / "store.db"
    SqliteStore(path).close()
    path.chmod(0o400)
    with pytest.raises(StoreRefused, match="readonly"):
        SqliteStore(path)


def test_damage_is_refused(path: Path) -> None:
    store = SqliteStore(path)
    store.commit([Put(f"key{number:05}", b"x" * 500) for number in range(200)])
    store.close()
    body = bytearray(path.read_bytes())
    body[8192:] = b"\xff" * (len(body) - 8192)
    path.write_bytes(body)
    damaged = SqliteStore(path)
    try:
        with pytest.raises(StoreRefused, match="malformed"):
            damaged.range("")
    finally:
        damaged.close()


def test_a_lock_held_too_long_is_unavailable(path: Path) -> None:
    store = SqliteStore(path, busy_timeout_s=0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(StoreUnavailable, match="locked"):
            store.commit([Put("a", b"")])
        other.execute("ROLLBACK")
        store.commit([Put("a", b"")])
        assert keys_of(store) == ["a"]
    finally:
        other.close()
        store.close()


def test_a_full_store_keeps_what_it_has_and_works_again(store: SqliteStore) -> None:
    store.commit([Put("a", b"1")])
    (pages,) = store._writer.execute("PRAGMA page_count").fetchone()
    store._writer.execute(f"PRAGMA max_page_count = {pages + 3}")
    with pytest.raises(StoreFull):
        store.commit_many([[[Put("a", b"2")], [Create("b", b"x" * 100_000)]]])
    assert [entry.value for entry in store.range("")] == [b"1"]
    store._writer.execute(f"PRAGMA max_page_count = {1 << 20}")
    store.commit_many([[[Put("a", b"2")], [Create("b", b"x" * 100_000)]]])
    assert keys_of(store) == ["a", "b"]


def test_a_full_disk_loses_nothing_and_works_again_with_room(disk: Path) -> None:
    store = SqliteStore(disk / "store.db")
    ballast = disk / "ballast"
    ballast.write_bytes(b"x" * 300_000)
    written = 0
    try:
        with pytest.raises(StoreFull):
            for number in range(1000):
                store.commit([Create(f"{number:04}", b"x" * 5000)])
                written = number + 1
        assert len(keys_of(store)) == written > 0
        ballast.unlink()
        store.commit([Create("more", b"x" * 5000)])
        assert len(keys_of(store)) == written + 1
    finally:
        store.close()


def test_a_full_disk_cannot_be_opened_and_can_with_room(disk: Path) -> None:
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"x" * 4096)
    with pytest.raises(StoreFull):
        SqliteStore(disk / "store.db")
    ballast.unlink()
    SqliteStore(disk / "store.db").close()


@pytest.mark.parametrize(
    ("code", "opening", "committing"),
    [
        (sqlite3.SQLITE_FULL, StoreFull, StoreFull),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StoreUnavailable, StoreUnavailable),
        (sqlite3.SQLITE_NOMEM, StoreUnavailable, StoreUnavailable),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreRefused, OutcomeUnknown),
        (sqlite3.SQLITE_CORRUPT, StoreRefused, OutcomeUnknown),
        (sqlite3.SQLITE_READONLY_DIRECTORY, StoreRefused, StoreRefused),
        (sqlite3.SQLITE_TOOBIG, TooLarge, TooLarge),
        (sqlite3.SQLITE_MISUSE, InternalError, InternalError),
    ],
)
def test_an_error_of_sqlite_becomes_what_a_caller_can_decide_on(
    tmp_path: Path, code: int, opening: type, committing: type
) -> None:
    error = sqlite3.OperationalError("reason")
    error.sqlite_errorcode = code
    assert type(translate(error, tmp_path / "store.db")) is opening
    assert type(translate_commit(error, tmp_path / "store.db")) is committing


#: A unit, and the step of its commit that SQLite refuses: its code, and its first argument.
REFUSED = [
    ([Create("b", b""), Put("a", b"2")], sqlite3.SQLITE_TRANSACTION, "BEGIN"),
    ([Create("b", b""), Put("a", b"2")], sqlite3.SQLITE_TRANSACTION, "COMMIT"),
    ([Create("b", b""), Put("a", b"2")], sqlite3.SQLITE_INSERT, "kv"),
    ([Create("b", b""), Delete("a")], sqlite3.SQLITE_DELETE, "kv"),
    ([Put("b", b""), Create("a", b"2")], sqlite3.SQLITE_SAVEPOINT, "RELEASE"),
]


@pytest.mark.parametrize(("unit", "step", "argument"), REFUSED)
def test_a_commit_that_fails_on_its_way_leaves_nothing_and_the_next_is_done(
    store: SqliteStore, unit: list[Write], step: int, argument: str
) -> None:
    store.commit([Put("a", b"1")])
    with _refusing(store, step, argument), pytest.raises(StoreRefused, match="not authorized"):
        store.commit(unit)
    assert keys_of(store) == ["a"]
    store.commit([Create("b", b"")])
    assert keys_of(store) == ["a", "b"]


def test_an_error_of_units_one_by_one_does_not_come_with_the_try_of_all_at_once(
    store: SqliteStore,
) -> None:
    store.commit([Put("a", b"")])
    with _refusing(store, sqlite3.SQLITE_SAVEPOINT, "BEGIN"), pytest.raises(StoreRefused) as found:
        store.commit([Create("a", b"")])
    assert found.value.__cause__ is not None
    assert found.value.__cause__.__context__ is None


@contextmanager
def _refusing(store: SqliteStore, step: int, argument: str) -> Iterator[None]:
    def answer(code: int, first: str | None, *_: object) -> int:
        return sqlite3.SQLITE_DENY if (code, first) == (step, argument) else sqlite3.SQLITE_OK

    store._writer.set_authorizer(answer)
    yield
    store._writer.set_authorizer(None)


@pytest.mark.chaos
def test_a_killed_writer_leaves_whole_groups_only(store: SqliteStore, path: Path) -> None:
    for life in range(5):
        with start(WRITE_FOR_EVER, path, life) as process:
            assert process.stdout is not None
            reported = [int(process.stdout.readline()) for _ in range(3 + life)]
            process.kill()
            reported += [int(line) for line in process.stdout if line.endswith("\n")]
        groups: dict[str, int] = {}
        for key in keys_of(store):
            group = key.rpartition("/")[0]
            groups[group] = groups.get(group, 0) + 1
        assert set(groups.values()) == {3}
        # Groups of one commit share its fate, and what was reported is there.
        mine = [group for group in groups if group.startswith(f"{life}/")]
        assert len(mine) % 20 == 0
        assert len(mine) // 20 >= len(reported)


def test_a_commit_waits_for_that_of_another_process(store: SqliteStore, path: Path) -> None:
    with start(WRITE_FOR_EVER, path, "other") as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            for number in range(20):
                store.commit([Create(f"mine/{number}", b"")])
        finally:
            process.kill()
    eventually(lambda: len(store.range("mine/")) == 20)
