"""Which place a node starts with, and which it refuses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobx.config import Settings
from jobx.config_sections import BlobSettings, NodeSettings
from jobx.errors import ConfigError, StoreFull, StoreUnavailable
from jobx.handlers.blobs import joining
from jobx.handlers.blobs.joining import join
from jobx.handlers.blobs.opening import check, shared_blobs
from jobx.kv import keys
from jobx.kv.memory import MemoryStore
from jobx.kv.store import Put


def store(store_id: str = "one") -> MemoryStore:
    made = MemoryStore()
    made.commit([Put(keys.STORE_ID, store_id.encode())])
    return made


def place(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def start(store: MemoryStore, folder: Path | None, node_id: str = "local") -> None:
    blobs = BlobSettings(url=f"file://{folder}" if folder else "")
    settings = Settings(node=NodeSettings(data_dir="/data"), blobs=blobs)
    check(blobs)
    join(settings, store, shared_blobs(blobs, 0.0), node_id)


def test_the_first_node_claims_the_place_and_others_join(tmp_path: Path) -> None:
    one, shared = store(), place(tmp_path / "a")
    for node_id in ("local", "other", "local"):
        start(one, shared, node_id)
    assert (shared / "store_id").read_bytes() == b"one"
    assert os.listdir(shared / "nodes") == []


def test_a_place_of_another_store_is_refused(tmp_path: Path) -> None:
    start(store("one"), place(tmp_path / "a"))
    with pytest.raises(ConfigError, match="another store"):
        start(store("two"), tmp_path / "a")


def test_another_place_than_before_is_refused_by_both_names(tmp_path: Path) -> None:
    one = store()
    start(one, place(tmp_path / "a"))
    with pytest.raises(ConfigError, match=r"is empty, .* are in file:.*/a: .*/b"):
        start(one, place(tmp_path / "b"))
    assert os.listdir(tmp_path / "b") == []


def test_a_node_without_the_place_of_its_store_is_refused(tmp_path: Path) -> None:
    one = store()
    start(one, None)
    start(one, place(tmp_path / "a"))
    with pytest.raises(ConfigError, match=r"blobs\.url.*are in file:.*/a"):
        start(one, None)


def test_a_place_may_move_with_all_that_is_in_it(tmp_path: Path) -> None:
    one = store()
    start(one, place(tmp_path / "a"))
    (tmp_path / "a").rename(tmp_path / "b")
    start(one, tmp_path / "b")


def test_a_start_that_died_in_the_middle_is_done_again(tmp_path: Path) -> None:
    one = store()
    (place(tmp_path / "a") / "store_id").write_bytes(b"one")
    start(one, tmp_path / "a")
    assert one.get(keys.BLOBS_PLACE) is not None


def test_a_folder_that_is_gone_later_is_away_and_no_wrong_setting(tmp_path: Path) -> None:
    shared = shared_blobs(BlobSettings(url=f"file://{tmp_path}/gone"), 0.0)
    assert shared is not None
    with pytest.raises(StoreUnavailable, match="gone does not exist"):
        shared.sizes("flow", "r1")


@pytest.mark.parametrize(
    "url",
    [
        "file:///no/such/folder",
        "memory://x",
        "ftp://host/x",
        "s3://",
        "file://host/x",
        "s3://a?b=c",
    ],
)
def test_a_url_that_cannot_be_a_place_is_refused_by_name(url: str) -> None:
    with pytest.raises(ConfigError, match=r"blobs\.url"):
        check(BlobSettings(url=url))


def test_a_place_that_refuses_writes_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "_write", _denied)
    with pytest.raises(ConfigError, match=r"blobs\.url.*Permission denied"):
        start(store(), place(tmp_path / "a"))


@pytest.mark.parametrize(
    ("error", "kind"),
    [(OSError(28, "No space left"), StoreFull), (OSError(110, "timed out"), StoreUnavailable)],
)
def test_a_place_that_cannot_be_asked_now_is_no_wrong_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, kind: type[Exception]
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(joining, "_write", fail)
    with pytest.raises(kind):
        start(store(), place(tmp_path / "a"))


def _denied(*_: object) -> None:
    raise PermissionError(13, "Permission denied")
