"""The contract of FS, over every back end."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jobx.config_sections import FilesSettings
from jobx.handlers.files import opening
from jobx.handlers.files.files import FS
from jobx.handlers.files.paths import PathRefused
from jobx.handlers.files.quota import QuotaExceeded
from tests.support.file_stores import Stores, fs, kind, names, read, stores, workflow, write

__all__ = ["fs", "kind", "stores", "workflow"]

AWKWARD = "naïve 名前 😀 a?b#c&d%e+f*[g]{h};i'j\"k$(l)"


def test_a_file_reads_as_it_was_written(fs: FS) -> None:
    write(fs, "a", bytes(range(256)))
    assert read(fs, "a") == bytes(range(256))


def test_an_empty_file_can_be_written_and_read(fs: FS) -> None:
    write(fs, "a", b"")
    assert (read(fs, "a"), fs.get_filesize("a")) == (b"", 0)


def test_text_is_kept_in_its_encoding(fs: FS) -> None:
    with fs.open("a", "w", encoding="latin-1") as file:
        file.write("één\n")
    with fs.open("a", encoding="latin-1") as file:
        assert (read(fs, "a"), file.read()) == ("één\n".encode("latin-1"), "één\n")


def test_a_file_can_be_written_and_read_in_any_order(fs: FS) -> None:
    with fs.open("a.zip", "wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("inside", "text")
    with fs.open("a.zip", "rb") as file, zipfile.ZipFile(file) as archive:
        assert archive.read("inside") == b"text"


def test_a_large_file_reads_as_it_was_written(fs: FS) -> None:
    piece = os.urandom(1 << 20)
    digest = hashlib.sha256(piece * 16).digest()
    with fs.open("large", "wb") as file:
        for _ in range(16):
            file.write(piece)
    assert (fs.get_filesize("large"), hashlib.sha256(read(fs, "large")).digest()) == (
        16 << 20,
        digest,
    )


def test_awkward_names_are_kept(fs: FS) -> None:
    fs.mkdir(AWKWARD)
    write(fs, f"{AWKWARD}/{AWKWARD}")
    assert (names(fs), names(fs, AWKWARD)) == ([AWKWARD], [AWKWARD])
    assert read(fs, f"{AWKWARD}/{AWKWARD}") == b"content"


def test_a_name_is_no_pattern(fs: FS) -> None:
    for name in ("a", "b", "*"):
        write(fs, name)
    fs.rm("*")
    assert names(fs) == ["a", "b"]


def test_ls_gives_names_and_stats_in_order(fs: FS) -> None:
    write(fs, "b", b"12345")
    fs.mkdir("a")
    (first, folder), (second, file) = fs.ls()
    assert (first, folder.name, folder.type) == ("a", "a", "directory")
    assert (second, file.name, file.type, file.size) == ("b", "b", "file", 5)


def test_ls_shows_only_what_is_directly_inside(fs: FS) -> None:
    fs.mkdir("a/b", recursive=True)
    write(fs, "a/b/c")
    write(fs, "a/d")
    assert names(fs, "a") == ["b", "d"]


def test_a_new_workflow_has_an_empty_folder(fs: FS) -> None:
    assert (names(fs), fs.isdir("."), fs.exists("a")) == ([], True, False)


def test_workflows_do_not_see_each_other(fs: FS, kind: str, stores: Stores) -> None:
    write(fs, "a")
    other = FS(lambda: "other", lambda: stores.back_end(kind))
    assert (names(other), other.exists("a")) == ([], False)


def test_files_and_folders_are_told_apart(fs: FS) -> None:
    fs.mkdir("folder")
    write(fs, "file")
    assert [fs.isdir("folder"), fs.isfile("folder"), fs.exists("folder")] == [True, False, True]
    assert [fs.isdir("file"), fs.isfile("file"), fs.exists("file")] == [False, True, True]
    assert [fs.exists("no"), fs.exists("no/no"), fs.exists("file/no")] == [False] * 3


def test_an_empty_folder_is_there_for_others(
    fs: FS, kind: str, stores: Stores, workflow: str
) -> None:
    fs.mkdir("a")
    assert FS(lambda: workflow, lambda: opening.connect(stores.settings(kind))).isdir("a")


def test_cp_copies_a_file(fs: FS) -> None:
    write(fs, "a")
    fs.cp("a", "b")
    assert (read(fs, "a"), read(fs, "b")) == (b"content", b"content")


def test_a_copy_is_not_changed_with_its_original(fs: FS) -> None:
    write(fs, "a", b"old")
    fs.cp("a", "b")
    write(fs, "a", b"new")
    assert read(fs, "b") == b"old"


def test_cpr_copies_a_folder_and_all_in_it(fs: FS) -> None:
    fs.mkdir("a/b/empty", recursive=True)
    write(fs, "a/b/c", b"1")
    write(fs, "a/d", b"2")
    fs.cpr("a", "e")
    assert (names(fs, "e"), names(fs, "e/b")) == (["b", "d"], ["c", "empty"])
    assert (read(fs, "e/b/c"), read(fs, "e/d"), fs.isdir("e/b/empty")) == (b"1", b"2", True)


def test_mv_moves_a_file(fs: FS) -> None:
    fs.mkdir("folder")
    write(fs, "a")
    fs.mv("a", "folder/b")
    assert (names(fs), read(fs, "folder/b")) == (["folder"], b"content")


def test_mv_moves_a_folder_and_all_in_it(fs: FS) -> None:
    fs.mkdir("a/b", recursive=True)
    write(fs, "a/b/c")
    fs.mv("a", "d")
    assert (names(fs), read(fs, "d/b/c")) == (["d"], b"content")


@pytest.mark.parametrize("call", ["cp", "mv"])
def test_a_target_is_replaced_when_that_is_asked_for(fs: FS, call: str) -> None:
    write(fs, "a", b"new")
    write(fs, "b", b"old")
    getattr(fs, call)("a", "b", overwrite=True)
    assert read(fs, "b") == b"new"


def test_cpr_into_a_folder_keeps_what_is_there(fs: FS) -> None:
    for path, content in (("a/x", b"new"), ("b/x", b"old"), ("b/y", b"old")):
        fs.mkdir(path[0], allow_recreate=True)
        write(fs, path, content)
    fs.cpr("a", "b", overwrite=True)
    assert (read(fs, "b/x"), read(fs, "b/y")) == (b"new", b"old")


def test_rm_removes_a_file(fs: FS) -> None:
    write(fs, "a")
    fs.rm("a")
    assert names(fs) == []


def test_rmdir_removes_an_empty_folder(fs: FS) -> None:
    fs.mkdir("a")
    fs.rmdir("a")
    assert names(fs) == []


def test_rmdir_with_force_removes_all_inside(fs: FS) -> None:
    fs.mkdir("a/b", recursive=True)
    write(fs, "a/b/c")
    fs.rmdir("a", force=True)
    assert names(fs) == []


def test_mkdir_makes_all_folders_when_asked(fs: FS) -> None:
    fs.mkdir("a/b/c", recursive=True)
    fs.mkdir("a/b/c", recursive=True, allow_recreate=True)
    assert fs.isdir("a/b/c")


MISSING, EXISTS, FOLDER = FileNotFoundError, FileExistsError, IsADirectoryError
WRONG: list[tuple[str, Callable[[FS], Any], type[OSError]]] = [
    ("mkdir existing folder", lambda fs: fs.mkdir("folder"), EXISTS),
    ("mkdir existing file", lambda fs: fs.mkdir("file"), EXISTS),
    ("mkdir over a file", lambda fs: fs.mkdir("file", allow_recreate=True), EXISTS),
    ("mkdir without parent", lambda fs: fs.mkdir("no/a"), MISSING),
    ("mkdir in a file", lambda fs: fs.mkdir("file/a"), NotADirectoryError),
    ("ls missing", lambda fs: fs.ls("no"), MISSING),
    ("ls file", lambda fs: fs.ls("file"), NotADirectoryError),
    ("cp missing", lambda fs: fs.cp("no", "a"), MISSING),
    ("cp folder", lambda fs: fs.cp("folder", "a"), FOLDER),
    ("cp onto file", lambda fs: fs.cp("file", "other"), EXISTS),
    ("cp onto folder", lambda fs: fs.cp("file", "folder", overwrite=True), FOLDER),
    ("cp to a missing folder", lambda fs: fs.cp("file", "no/a"), MISSING),
    ("cp onto itself", lambda fs: fs.cp("file", "./file", overwrite=True), OSError),
    ("cpr missing", lambda fs: fs.cpr("no", "a"), MISSING),
    ("cpr file", lambda fs: fs.cpr("file", "a"), NotADirectoryError),
    ("cpr onto folder", lambda fs: fs.cpr("folder", "full"), EXISTS),
    ("cpr into itself", lambda fs: fs.cpr("folder", "folder/a"), OSError),
    ("mv missing", lambda fs: fs.mv("no", "a"), MISSING),
    ("mv onto file", lambda fs: fs.mv("file", "other"), EXISTS),
    ("mv onto folder", lambda fs: fs.mv("file", "folder", overwrite=True), FOLDER),
    ("mv to a missing folder", lambda fs: fs.mv("file", "no/a"), MISSING),
    ("mv into itself", lambda fs: fs.mv("full", "full/a"), OSError),
    ("rm missing", lambda fs: fs.rm("no"), MISSING),
    ("rm folder", lambda fs: fs.rm("folder"), FOLDER),
    ("rmdir missing", lambda fs: fs.rmdir("no"), MISSING),
    ("rmdir file", lambda fs: fs.rmdir("file"), NotADirectoryError),
    ("rmdir full", lambda fs: fs.rmdir("full"), OSError),
    ("get_stat missing", lambda fs: fs.get_stat("no"), MISSING),
    ("get_filesize folder", lambda fs: fs.get_filesize("folder"), FOLDER),
    ("read missing", lambda fs: read(fs, "no"), MISSING),
    ("read folder", lambda fs: read(fs, "folder"), FOLDER),
    ("write folder", lambda fs: write(fs, "folder"), FOLDER),
    ("write without parent", lambda fs: write(fs, "no/a"), MISSING),
    ("rm the folder itself", lambda fs: fs.rm("."), PathRefused),
    ("rmdir the folder itself", lambda fs: fs.rmdir(".", force=True), PathRefused),
    ("mv the folder itself", lambda fs: fs.mv(".", "a"), PathRefused),
]


def test_each_mistake_has_its_error_and_changes_nothing(fs: FS) -> None:
    for name in ("folder", "full"):
        fs.mkdir(name)
    for path in ("file", "other", "full/x"):
        write(fs, path)
    for what, call, expected in WRONG:
        with pytest.raises(expected) as caught:
            call(fs)
        assert caught.value.errno, what
        assert names(fs) == ["file", "folder", "full", "other"], what
    assert (read(fs, "file"), read(fs, "other"), names(fs, "full")) == (
        b"content",
        b"content",
        ["x"],
    )


def test_an_error_names_the_path_as_it_was_given(fs: FS) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        fs.rm("./no")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, "./no")
    assert "working" not in str(caught.value)


@pytest.mark.parametrize("mode", ["a", "r+", "w+", "x", "U", ""])
def test_a_mode_that_is_not_whole_files_is_refused(mode: str) -> None:
    unopened = FS(lambda: "w", lambda: pytest.fail("the back end was opened"))
    with pytest.raises(ValueError, match="mode"), unopened.open("a", mode):
        pass


def test_nobody_sees_a_file_before_it_is_whole(fs: FS) -> None:
    write(fs, "a", b"old")
    with fs.open("a", "wb") as file, fs.open("b", "wb") as other:
        file.write(b"new" * 100_000)
        other.write(b"new")
        assert (read(fs, "a"), names(fs)) == (b"old", ["a"])
    assert (len(read(fs, "a")), names(fs)) == (300_000, ["a", "b"])


def test_a_writer_that_fails_leaves_what_was_there(fs: FS) -> None:
    write(fs, "a", b"old")
    for path, mode, piece in (("a", "wb", b"new"), ("b", "w", "new")):
        with pytest.raises(ZeroDivisionError), fs.open(path, mode) as file:
            file.write(piece)
            raise ZeroDivisionError
    assert (read(fs, "a"), names(fs)) == (b"old", ["a"])


def test_what_is_written_after_the_end_is_refused(fs: FS) -> None:
    with fs.open("a", "w") as text, fs.open("b", "wb") as raw:
        pass
    for file, piece in ((text, "late"), (raw, b"late")):
        with pytest.raises(ValueError, match="closed"):
            file.write(piece)


def test_a_file_may_be_closed_early(fs: FS) -> None:
    with fs.open("a", "w") as file:
        file.write("text")
        file.close()
    assert read(fs, "a") == b"text"


def test_of_two_writers_the_last_whole_file_stays(fs: FS) -> None:
    wholes = {letter * 200_000 for letter in (b"a", b"b")}

    def replace(whole: bytes) -> None:
        for _ in range(4):
            write(fs, "a", whole)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(replace, wholes))
    assert read(fs, "a") in wholes
    assert names(fs) == ["a"]


def test_a_reader_never_gets_parts_of_two_files(fs: FS) -> None:
    wholes = [letter * 200_000 for letter in (b"a", b"b")]
    write(fs, "a", wholes[0])
    stop = threading.Event()

    def replace() -> None:
        while not stop.is_set():
            for whole in wholes:
                write(fs, "a", whole)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(replace)
        try:
            seen = {_read_or_none(fs) for _ in range(6)}
        finally:
            stop.set()
        writing.result()
    assert seen <= {*wholes, None}


def _read_or_none(fs: FS) -> bytes | None:
    try:
        return read(fs, "a")
    except OSError as error:  # an object store may say that it changed meanwhile
        assert error.errno in (errno.EBUSY, errno.EIO)
        return None


def test_many_writers_of_one_new_folder_lose_nothing(
    kind: str, stores: Stores, workflow: str
) -> None:
    def add(number: int) -> None:
        fs = FS(lambda: workflow, lambda: stores.back_end(kind))
        fs.mkdir("folder", allow_recreate=True)
        write(fs, f"folder/{number}")

    stores.back_end(kind)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(8)))
    fs = FS(lambda: workflow, lambda: stores.back_end(kind))
    assert names(fs, "folder") == [str(number) for number in range(8)]


def test_a_quota_holds_for_what_is_written_and_copied(
    kind: str, stores: Stores, workflow: str
) -> None:
    fs = FS(lambda: workflow, lambda: stores.back_end(kind), 1000)
    write(fs, "a", b"x" * 600)
    complaint = rf"quota of workflow {workflow} is 1,000 bytes .*600 are in use, 401 do not fit"
    with pytest.raises(QuotaExceeded, match=complaint):
        write(fs, "b", b"x" * 401)
    with pytest.raises(QuotaExceeded):
        fs.cp("a", "b")
    write(fs, "a", b"y" * 1000)
    fs.rm("a")
    write(fs, "b", b"z" * 1000)
    assert (names(fs), read(fs, "b")) == (["b"], b"z" * 1000)


def test_a_quota_is_one_workflows_own(kind: str, stores: Stores, workflow: str) -> None:
    current = [workflow]
    fs = FS(lambda: current[0], lambda: stores.back_end(kind), 1000)
    write(fs, "a", b"x" * 1000)
    current[0] = f"{workflow}-too"
    write(fs, "a", b"x" * 1000)
    assert names(fs) == ["a"]


@pytest.mark.parametrize("kind", ["file", "sftp"])
def test_cleaning_removes_old_drafts_only(fs: FS, kind: str, stores: Stores) -> None:
    write(fs, "kept")
    drafts = stores.root(kind) / "temporary"
    for name, age_s in (("old", 1000.0), ("young", 10.0)):
        (drafts / name).write_bytes(b"")
        os.utime(drafts / name, (2e9 - age_s, 2e9 - age_s))
    assert stores.back_end(kind).clean(2e9 - 100) == 1
    assert (os.listdir(drafts), names(fs)) == (["young"], ["kept"])


def test_cleaning_ends_old_uploads_only(stores: Stores) -> None:
    s3: Any = stores.back_end("s3")
    for key in ("below/it/working/w/a", "elsewhere"):
        s3.fs.call_s3("create_multipart_upload", Bucket="shared", Key=key)
    assert [s3.clean(0.0), s3.clean(4e9), s3.clean(4e9)] == [0, 1, 0]


@pytest.mark.tahoe
def test_a_gateway_that_fails_tells_no_capability(stores: Stores) -> None:
    cap = "URI:DIR2:" + "a" * 26 + ":" + "b" * 52
    prefix = stores.settings("tahoe").tahoe_webapi_url_prefix
    wrong = FilesSettings(tahoe_dir_uri=cap, tahoe_webapi_url_prefix=prefix)
    with pytest.raises(OSError, match=r".") as caught:
        write(FS(lambda: "w", lambda: opening.connect(wrong)), "a")
    assert cap[9:20] not in f"{caught.value!r} {caught.value.__cause__!r} {wrong!r}"
