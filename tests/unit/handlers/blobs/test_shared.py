"""A shared place that is full, slow, away, or hangs."""

from __future__ import annotations

import errno
import os
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from jobx.errors import BlobDamaged, StoreFull, StoreUnavailable
from jobx.handlers.blobs import place as module
from jobx.handlers.blobs.blob_file import BlobFile
from jobx.handlers.blobs.shared import SharedBlobs, open_blob
from jobx.handlers.failures import describe
from jobx.handlers.files.local import Local

WAIT_S = 60.0
Open: TypeAlias = Callable[..., SharedBlobs]


class Sick:
    """A folder as a back end, some of whose calls fail or hang."""

    def __init__(self, root: Path) -> None:
        (root / "blobs").mkdir(parents=True)
        self.healthy = Local(str(root))
        self.trouble: list[Callable[[], None]] = []
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        if name in ("draft", "read", "list"):
            self.asked += 1
            if self.trouble:
                self.trouble.pop(0)()
        return getattr(self.healthy, name)


def failing(number: int) -> Callable[[], None]:
    def fail() -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.fixture
def sick(tmp_path: Path) -> Sick:
    return Sick(tmp_path / "place")


@pytest.fixture
def here(tmp_path: Path) -> str:
    folder = str(tmp_path / "flow" / "r1")
    with BlobFile(folder, "b") as blob:
        blob.write(b"body")
    return folder


@pytest.fixture
def open_shared(sick: Sick, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(module, "_LONGEST_PAUSE_S", 0.0)

    def connect(patience_s: float = WAIT_S, timeout_s: float = WAIT_S) -> SharedBlobs:
        return SharedBlobs("place:", lambda: sick, timeout_s, patience_s)  # type: ignore[arg-type, return-value]  # a back end

    return connect


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.ECONNREFUSED])
def test_a_call_that_failed_for_a_moment_is_repeated(
    sick: Sick, here: str, open_shared: Open, number: int
) -> None:
    sick.trouble = [failing(number)] * 3
    open_shared().put(here, "b", 4)
    assert sick.asked == 4
    assert open_shared().sizes("flow", "r1") == {"b": 4}


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, (StoreFull, "full")),
        (errno.EDQUOT, (StoreFull, "full")),
        (errno.EIO, (StoreUnavailable, "disk")),
        (errno.EACCES, (StoreUnavailable, "disk")),
        (errno.ETIMEDOUT, (StoreUnavailable, "disk")),
    ],
)
def test_an_attempt_whose_output_is_not_taken_waits_and_is_nobodys_fault(
    sick: Sick,
    here: str,
    open_shared: Open,
    number: int,
    expected: tuple[type[Exception], str],
) -> None:
    sick.trouble = [failing(number)]
    with pytest.raises(expected[0], match="place:") as caught:
        open_shared(0.0).put(here, "b", 4)
    assert describe(caught.value)["kind"] == expected[1]


def test_a_place_that_cannot_be_opened_is_unavailable(here: str) -> None:
    def connect() -> Any:
        raise OSError(errno.EHOSTUNREACH, "No route to host")

    with pytest.raises(StoreUnavailable, match="No route"):
        SharedBlobs("place:", connect, WAIT_S, 0.0).put(here, "b", 4)


def test_what_is_gone_here_is_told_without_asking_the_place(
    sick: Sick, here: str, open_shared: Open
) -> None:
    with pytest.raises(BlobDamaged, match="other"):
        open_shared().put(here, "other", 4)
    assert sick.asked == 0


def test_a_missing_blob_is_told_at_once(sick: Sick, here: str, open_shared: Open) -> None:
    with pytest.raises(BlobDamaged, match="neither here nor in place:"):
        open_shared().fetch(here, "gone", 4, 0)
    assert sick.asked == 1


def test_a_copy_that_is_cut_is_fetched_again(here: str, open_shared: Open) -> None:
    shared = open_shared()
    shared.put(here, "b", 4)
    os.truncate(f"{here}/b", 1)
    opened = open_blob(shared.folder(here), "b", 4, zlib.crc32(b"body"))
    with open(opened, "rb") as file:
        assert file.read() == b"body"


@pytest.fixture
def hanging() -> Iterator[Callable[[], None]]:
    end = threading.Event()
    yield lambda: end.wait(WAIT_S) and None
    end.set()


def test_calls_that_hang_are_left_alone_and_no_more_are_made_than_a_few(
    sick: Sick,
    here: str,
    open_shared: Open,
    hanging: Callable[[], None],
) -> None:
    sick.trouble = [hanging] * 9
    shared = open_shared(0.0, 0.0)
    for _ in range(module.MOST_HUNG):
        with pytest.raises(StoreUnavailable, match="no answer"):
            shared.sizes("flow", "r1")
    with pytest.raises(StoreUnavailable, match="calls hang"):
        shared.sizes("flow", "r1")
    assert sick.asked <= module.MOST_HUNG


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads that take turns as often as they can."""
    every_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(every_s)


@pytest.mark.usefixtures("hasty")
def test_no_call_that_hangs_is_forgotten_when_many_do_at_once(
    sick: Sick, open_shared: Open, hanging: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_HUNG", 101)
    sick.trouble = [hanging] * 101
    shared = open_shared(0.0, 0.0)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: _fails(shared), range(100)))
    assert "no answer" in _fails(shared)
    assert "calls hang" in _fails(shared)


def _fails(shared: SharedBlobs) -> str:
    with pytest.raises(StoreUnavailable) as caught:
        shared.sizes("flow", "r1")
    return str(caught.value)


def test_a_place_that_was_closed_is_not_asked(sick: Sick, open_shared: Open) -> None:
    shared = open_shared()
    shared.close()
    assert "the node stops" in _fails(shared)
    assert sick.asked == 0


def test_the_end_of_a_node_ends_what_waits(
    sick: Sick, open_shared: Open, hanging: Callable[[], None]
) -> None:
    begun = threading.Event()
    sick.trouble = [lambda: begun.set() or hanging()]  # type: ignore[func-returns-value]  # both, in turn
    shared = open_shared()
    failed: list[Exception] = []

    def ask() -> None:
        try:
            shared.sizes("flow", "r1")
        except StoreUnavailable as error:
            failed.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert begun.wait(WAIT_S)
    shared.close()
    thread.join(WAIT_S)
    assert "the node stops" in str(failed[0])


def test_a_place_that_is_no_longer_mounted_is_away_and_nothing_is_missing(
    tmp_path: Path, here: str, open_shared: Open
) -> None:
    shared = open_shared(0.0)
    shared.put(here, "b", 4)
    os.unlink(f"{here}/b")
    (tmp_path / "place").rename(tmp_path / "elsewhere")
    (tmp_path / "place").mkdir()
    with pytest.raises(StoreUnavailable, match="no folder blobs"):
        shared.fetch(here, "b", 4, zlib.crc32(b"body"))
    for folder in (here, str(tmp_path / "flow" / "r2")):
        with BlobFile(folder, "c") as blob:
            blob.write(b"body")
        with pytest.raises(StoreUnavailable):
            shared.put(folder, "c", 4)
    assert os.listdir(tmp_path / "place") in ([], ["temporary"])


def test_a_link_in_the_place_is_not_followed(
    tmp_path: Path, sick: Sick, here: str, open_shared: Open
) -> None:
    open_shared().put(here, "b", 4)
    placed = tmp_path / "place" / "blobs" / "flow" / "r1" / "b"
    secret = tmp_path / "secret"
    secret.write_bytes(b"body")
    placed.unlink()
    placed.symlink_to(secret)
    os.unlink(f"{here}/b")
    with pytest.raises(StoreUnavailable):
        open_shared(0.0).fetch(here, "b", 4, 0)
    assert os.listdir(here) == []
