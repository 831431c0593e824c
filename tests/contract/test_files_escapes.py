"""No path leads out of the folder of a workflow, over every back end."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobx.handlers.files.files import FS
from jobx.handlers.files.paths import PathRefused
from tests.support.file_stores import Stores, fs, kind, names, read, stores, workflow, write

__all__ = ["fs", "kind", "stores", "workflow"]

#: Ways out of the folder, as one back end or another might read them.
ESCAPES = [
    "..",
    "../secret",
    "a/../../secret",
    "./../secret",
    "a/..",
    "a/b/../../../../etc/passwd",
    "....//secret",
    ".. /secret",
    "/etc/passwd",
    "//server/share",
    "/",
    "/proc/self/root/etc/passwd",
    "~/secret",
    "~root/secret",
    "..\\secret",
    "a\\..\\..\\secret",
    "\\\\server\\share",
    "C:/secret",
    "c:secret",
    "file:///etc/passwd",
    "s3://other/secret",
    "sftp://host/secret",
    "local::/etc/passwd",
    "a/simplecache::file:///etc/passwd",
    "%2e%2e/secret",
    "%2e%2e%2fsecret",
    "%252e%252e%252fsecret",
    "..%c0%af..%2fsecret",
    "a%5c..%5csecret",
    "\uff0e\uff0e/secret",
    "\u2025/secret",
    "a\uff0f..\uff0fsecret",
    "a\0b",
    "a\nb",
    "a\x7fb",
    "a\u2028b",
    "a\ud800b",
    "",
    "a" * 256,
    "a/" * 500,
]


def calls(path: str) -> list[Callable[[FS], Any]]:
    """Return every call of FS with a path."""
    return [
        *[
            lambda fs, call=call: getattr(fs, call)(path)
            for call in ("mkdir", "ls", "rm", "rmdir", "exists", "isfile", "isdir")
        ],
        lambda fs: fs.get_stat(path),
        lambda fs: fs.get_filesize(path),
        lambda fs: fs.cp(path, "target"),
        lambda fs: fs.cp("file", path, overwrite=True),
        lambda fs: fs.cpr(path, "target"),
        lambda fs: fs.cpr("folder", path, overwrite=True),
        lambda fs: fs.mv(path, "target"),
        lambda fs: fs.mv("file", path, overwrite=True),
        lambda fs: read(fs, path),
        lambda fs: write(fs, path),
    ]


def test_no_escape_succeeds_with_any_call(fs: FS) -> None:
    assert len(ESCAPES) >= 30
    fs.mkdir("folder")
    write(fs, "file")
    for escape in ESCAPES:
        for call in calls(escape):
            with pytest.raises(PathRefused) as caught:
                call(fs)
            assert caught.value.filename == escape
            assert caught.value.strerror
    assert (names(fs), names(fs, "folder")) == (["file", "folder"], [])


def test_an_escape_is_refused_before_a_back_end_is_opened() -> None:
    unopened = FS(lambda: "w", lambda: pytest.fail("the back end was opened"))
    for escape in ESCAPES:
        for call in calls(escape)[-2:]:
            with pytest.raises(PermissionError):
                call(unopened)


@pytest.mark.parametrize("kind", ["file", "sftp"])
def test_a_link_leads_nowhere(
    fs: FS, kind: str, stores: Stores, workflow: str, tmp_path: Path
) -> None:
    write(fs, "file")
    fs.mkdir("folder")
    (tmp_path / "secret").write_text("secret")
    home = stores.root(kind) / "working" / workflow
    os.symlink(tmp_path, home / "out")
    os.symlink(tmp_path / "secret", home / "link")
    os.symlink(tmp_path / "made", home / "dangling")
    for path in ("link", "dangling", "out", "out/secret", "out/made"):
        for call in calls(path):
            with pytest.raises((PermissionError, NotADirectoryError, FileExistsError)):
                call(fs)
    assert sorted(os.listdir(tmp_path)) == ["secret"]
    assert (names(fs), (tmp_path / "secret").read_text()) == (["file", "folder"], "secret")
