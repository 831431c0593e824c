from __future__ import annotations

import errno
import os
import socket
import stat
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from jobx.handlers.files.files import FS
from jobx.handlers.files.local import Local
from jobx.handlers.files.paths import PathRefused
from tests.support.processes import open_below


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    made.mkdir()
    return made


@pytest.fixture
def fs(root: Path) -> FS:
    made = FS(lambda: "w", lambda: Local(str(root)))
    made.mkdir("made-on-first-use")
    return made


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


def _hard_link(path: Path) -> None:
    outside = path.parents[2] / "outside"
    outside.write_text("secret")
    os.link(outside, path)


@pytest.mark.parametrize("make", [_fifo, _socket, _hard_link])
def test_what_is_no_plain_file_is_refused(fs: FS, root: Path, make: Callable[[Path], None]) -> None:
    make(root / "working" / "w" / "odd")
    with pytest.raises(PathRefused), fs.open("odd", "rb"):
        pass
    with pytest.raises(PathRefused), fs.open("odd", "wb"):
        pass
    with pytest.raises(PathRefused):
        fs.rm("odd")


def test_a_folder_that_becomes_a_link_meanwhile_leads_nowhere(fs: FS, root: Path) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    folder, away = root / "working" / "w" / "folder", root / "away"
    folder.mkdir()
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            folder.rename(away)
            folder.symlink_to(outside)
            folder.unlink()
            away.rename(folder)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        for number in range(300):
            with (
                suppress(PathRefused, FileNotFoundError, NotADirectoryError),
                fs.open(f"folder/{number}", "wb") as file,
            ):
                file.write(b"x")
    finally:
        stop.set()
        swapping.join(60)
    assert os.listdir(outside) == []


def test_new_files_have_the_permissions_of_the_root(root: Path) -> None:
    root.chmod(0o2755)
    before = os.umask(0o077)
    try:
        fs = FS(lambda: "w", lambda: Local(str(root)))
        fs.mkdir("folder")
        with fs.open("folder/file", "w") as file:
            file.write("text")
    finally:
        os.umask(before)
    folder = root / "working" / "w" / "folder"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o2755
    assert stat.S_IMODE((folder / "file").stat().st_mode) == 0o644


def test_a_draft_that_is_closed_leaves_nothing_and_no_descriptor(root: Path) -> None:
    local = Local(str(root))
    before = open_below(root)
    with closing(local.draft(("file",))) as draft:
        draft.file.write(b"x")
    with pytest.raises(FileNotFoundError):
        local.draft(("no", "file"))
    assert open_below(root) == before
    assert (os.listdir(root / "temporary"), os.listdir(root)) == ([], ["temporary"])


def test_a_full_disk_is_an_error_and_leaves_what_was_there(
    fs: FS, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fs.open("file", "w") as file:
        file.write("old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left.*'file'"), fs.open("file", "w") as file:
        file.write("new")
    monkeypatch.undo()
    with fs.open("file") as file:
        assert file.read() == "old"
    assert os.listdir(root / "temporary") == []
