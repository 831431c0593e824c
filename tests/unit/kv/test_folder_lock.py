from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobx.errors import InUse, StoreRefused
from jobx.kv.folder_lock import FolderLock

HOLD = """
import sys
from pathlib import Path
from jobx.kv.folder_lock import FolderLock
lock = FolderLock(Path(sys.argv[1]), "run")
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_acquire_creates_the_folder_and_names_its_owner(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "deep" / "folder", "node")
    lock.acquire()
    assert lock.holder() == (os.getpid(), "node")
    lock.release()


def test_a_second_owner_is_refused_by_name(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path, "node"), FolderLock(tmp_path, "run")
    first.acquire()
    with pytest.raises(InUse) as caught:
        second.acquire()
    assert caught.value.args == ("data folder", str(tmp_path), f"process {os.getpid()} (node)")
    first.release()
    second.acquire()
    assert second.holder() == (os.getpid(), "run")
    second.release()


def test_nobody_holds_a_lock_that_was_released_or_never_taken(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path, "node")
    assert lock.holder() is None
    lock.acquire()
    lock.release()
    lock.release()
    assert lock.holder() is None


def test_looking_at_the_holder_does_not_let_go_of_the_lock(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path, "node")
    lock.acquire()
    FolderLock(tmp_path).holder()
    with pytest.raises(InUse):
        FolderLock(tmp_path).acquire()
    lock.release()


def test_the_death_of_its_process_lets_go_of_the_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    lock = FolderLock(tmp_path)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert lock.holder() == (process.pid, "run")
        process.kill()
    lock.acquire()
    lock.release()


def test_an_owner_without_a_name_yet_is_starting(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    lock.acquire()
    lock.path.write_bytes(b"")
    assert lock.holder() == (0, "starting")
    lock.release()


def test_a_folder_that_is_read_only_is_refused(bound_folder: Path) -> None:
    bound_folder.chmod(0o500)
    with pytest.raises(StoreRefused, match="Permission denied"):
        FolderLock(bound_folder).acquire()


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").write_bytes(b"")
    with pytest.raises(StoreRefused):
        FolderLock(tmp_path / "folder").acquire()
