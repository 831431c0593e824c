from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import pytest

from jobx.errors import StoreRefused
from jobx.kv.folder_lock import FolderLock
from jobx.kv.sqlite.store import SqliteStore
from jobx.system import disk
from jobx.system.disk import own_folder

#: A user that nobody here is.
STRANGER = 54321
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes folders of others")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def open_umask() -> object:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_all_of_a_new_data_folder_is_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    lock = FolderLock(folder)
    lock.acquire()
    store = SqliteStore(folder / "jobx.sqlite")
    modes = {path.name: mode(path) for path in folder.iterdir()}
    store.close()
    lock.release()

    assert mode(folder) == 0o700
    assert modes == dict.fromkeys(
        ("lock", "jobx.sqlite", "jobx.sqlite-wal", "jobx.sqlite-shm"), 384
    )


def test_data_folder_that_others_could_read_is_closed_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "d"
    SqliteStore(folder / "jobx.sqlite").close()
    folder.chmod(0o755)
    (folder / "jobx.sqlite").chmod(0o644)

    with caplog.at_level(logging.WARNING):
        SqliteStore(folder / "jobx.sqlite").close()
        SqliteStore(folder / "jobx.sqlite").close()

    assert (mode(folder), mode(folder / "jobx.sqlite")) == (0o700, 0o600)
    assert [record.args for record in caplog.records] == [
        (folder, 0o755),
        (folder / "jobx.sqlite", 0o644),
    ]


@pytest.mark.parametrize("path", ["/tmp", "/dev/shm", "/"])
def test_folder_that_all_users_share_is_refused(path: str) -> None:
    before = mode(Path(path))
    with pytest.raises(StoreRefused):
        own_folder(Path(path))
    assert mode(Path(path)) == before


def test_fresh_file_system_is_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    own_folder(tmp_path)
    assert mode(tmp_path) == 0o1700


def test_link_in_a_folder_that_all_users_share_is_refused(tmp_path: Path) -> None:
    shared, trap = tmp_path / "shared", tmp_path / "trap"
    shared.mkdir()
    shared.chmod(0o1777)
    trap.mkdir(mode=0o755)
    (shared / "name").symlink_to(trap)
    with pytest.raises(StoreRefused, match="no folder of this user's own"):
        own_folder(shared / "name")
    assert mode(trap) == 0o755


@AS_ROOT
def test_folder_of_another_where_all_may_create_some_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    (tmp_path / "name").mkdir()
    os.chown(tmp_path / "name", STRANGER, STRANGER)
    with pytest.raises(StoreRefused, match=f"another user \\({STRANGER}\\)"):
        own_folder(tmp_path / "name")


def test_folder_of_another_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk.os, "geteuid", lambda: STRANGER)
    with pytest.raises(StoreRefused, match="another user"):
        own_folder(tmp_path)


@pytest.mark.parametrize(
    ("extra_bytes", "expected"), [(-1, 1), (0, 1), (1, 2), (disk.PIECE_BYTES, 2)]
)
def test_a_body_is_written_in_pieces_of_which_none_is_large(
    extra_bytes: int, expected: int
) -> None:
    body = os.urandom(disk.PIECE_BYTES + extra_bytes)
    found = list(disk.pieces(body))
    assert len(found) == expected
    assert max(map(len, found)) <= disk.PIECE_BYTES
    assert b"".join(found) == body


def test_an_empty_body_has_no_pieces() -> None:
    assert list(disk.pieces(b"")) == []


def test_what_is_no_folder_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    for name, told in (("file", "is no folder"), ("link", "no folder"), ("loop", "no folder")):
        with pytest.raises(StoreRefused, match=told):
            own_folder(tmp_path / name)


@pytest.mark.parametrize("found", ["the current folder", "none"])
def test_a_folder_is_taken_though_no_folder_for_temporary_files_takes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: str
) -> None:
    def search() -> str:
        if found == "none":
            raise FileNotFoundError
        return os.getcwd()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(disk.tempfile, "gettempdir", search)
    own_folder(tmp_path)
