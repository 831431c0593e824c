"""The contract of blobs: what one node wrote another reads, on every kind of place."""

from __future__ import annotations

import os
import secrets
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from jobx.errors import BlobDamaged, InvalidInput
from jobx.handlers.files.backend import BLOBS
from tests.support.blob_places import KINDS, SHARED, WORKFLOW, Side, named, sides
from tests.support.file_stores import Stores, stores

__all__ = ["stores"]

BODY = bytes(range(256)) * 9000


@pytest.fixture(params=KINDS)
def pair(request: pytest.FixtureRequest, stores: Stores, tmp_path: Path) -> tuple[Side, Side]:
    return sides(stores, request.param, tmp_path)


@pytest.fixture(params=SHARED)
def sharing(request: pytest.FixtureRequest, stores: Stores, tmp_path: Path) -> tuple[Side, Side]:
    return sides(stores, request.param, tmp_path)


@pytest.mark.parametrize("body", [b"", b"x", BODY], ids=["empty", "small", "large"])
def test_what_one_node_wrote_another_reads(pair: tuple[Side, Side], body: bytes) -> None:
    one, other = pair
    blob = one.write("r1", "b-0", body)
    assert other.read("r1", blob) == body
    assert one.read("r1", blob) == body


def test_a_blob_may_be_written_twice(pair: tuple[Side, Side]) -> None:
    one, other = pair
    one.write("r1", "b-0", BODY)
    assert other.read("r1", other.write("r1", "b-0", BODY)) == BODY


def test_a_missing_blob_is_named(pair: tuple[Side, Side]) -> None:
    one, other = pair
    one.write("r1", "b-0", BODY)
    for request_id, name in (("r1", "b-1"), ("r2", "b-0")):
        with pytest.raises((BlobDamaged, FileNotFoundError), match="b-"):
            other.read(request_id, named(name, BODY))


def test_what_is_removed_is_gone_for_all(pair: tuple[Side, Side]) -> None:
    one, other = pair
    blob = one.write("r1", "b-0", BODY)
    kept = one.write("r2", "b-0", BODY)
    for _ in range(2):
        one.blobs.remove_everywhere(WORKFLOW, "r1")
    shutil.rmtree(other.root / WORKFLOW / "r1", ignore_errors=True)
    with pytest.raises((BlobDamaged, FileNotFoundError)):
        other.read("r1", blob)
    assert other.read("r2", kept) == BODY


def test_a_name_that_leads_out_is_refused(pair: tuple[Side, Side]) -> None:
    with pytest.raises(InvalidInput):
        pair[0].blobs.remove_everywhere(WORKFLOW, "..")


def test_a_node_keeps_and_reads_blobs_of_its_own(pair: tuple[Side, Side]) -> None:
    one, other = pair
    one.blobs.put(WORKFLOW, "r1", "event", BODY)
    _, size, checksum = named("event", BODY)
    assert other.blobs.get(WORKFLOW, "r1", "event", size, checksum) == BODY
    with pytest.raises(BlobDamaged):
        other.blobs.get(WORKFLOW, "r1", "other", size, checksum)


def test_copies_that_nobody_uses_go_and_come_back(sharing: tuple[Side, Side]) -> None:
    one, _ = sharing
    blob = one.write("r1", "b-0", BODY)
    assert one.blobs.unload(WORKFLOW, "r1", 3600.0) == 0
    assert one.blobs.unload(WORKFLOW, "r1", 0.0) == 1
    assert not one.path("r1", "b-0").exists()
    assert one.read("r1", blob) == BODY


def test_what_the_place_lacks_is_put_there_before_the_copy_goes(
    sharing: tuple[Side, Side],
) -> None:
    """So what was written before there was a place moves into it."""
    one, other = sharing
    before = Side(one.root, None)
    blob = before.write("r1", "b-0", BODY)
    assert one.blobs.unload(WORKFLOW, "r1", 0.0) == 1
    assert other.read("r1", blob) == BODY


def test_what_the_place_cut_short_is_put_there_before_the_copy_goes(
    sharing: tuple[Side, Side],
) -> None:
    one, other = sharing
    blob = one.write("r1", "b-0", BODY)
    _replace(one, "b-0", BODY[:-1])
    assert one.blobs.unload(WORKFLOW, "r1", 0.0) == 1
    assert other.read("r1", blob) == BODY


def test_a_copy_that_was_cut_short_replaces_nothing(sharing: tuple[Side, Side]) -> None:
    one, other = sharing
    blob = one.write("r1", "b-0", BODY)
    one.path("r1", "b-0").write_bytes(BODY[:-1])
    assert one.blobs.unload(WORKFLOW, "r1", 0.0) == 1
    assert other.read("r1", blob) == BODY


def test_a_copy_that_was_not_written_here_is_known_to_sweeps(sharing: tuple[Side, Side]) -> None:
    one, other = sharing
    for request_id in ("r1", "r2"):
        one.write(request_id, "b-0", BODY)
    assert other.shared is not None
    assert set(other.shared.requests()) == {(WORKFLOW, "r1"), (WORKFLOW, "r2")}
    assert list(other.blobs.requests()) == []


@pytest.mark.parametrize("body", [BODY[:-1], BODY + b"x", BODY[:-1] + b"x", b""])
def test_what_was_altered_in_the_place_is_told_and_leaves_nothing_here(
    sharing: tuple[Side, Side], body: bytes
) -> None:
    one, other = sharing
    blob = one.write("r1", "b-0", BODY)
    _replace(one, "b-0", body)
    with pytest.raises(BlobDamaged, match="b-0"):
        other.read("r1", blob)
    folder = other.blobs.path(WORKFLOW, "r1")
    assert not folder.exists() or os.listdir(folder) == []


def test_what_is_damaged_here_is_not_put_into_the_place(sharing: tuple[Side, Side]) -> None:
    one, other = sharing
    one.path("r1", "b-0").parent.mkdir(parents=True)
    one.path("r1", "b-0").write_bytes(BODY[:-1] + b"x")
    blob = named("b-0", BODY)
    with pytest.raises(BlobDamaged, match="checksum"):
        one.blobs.share(one.blobs.name(WORKFLOW, "r1"), *blob)
    with pytest.raises(BlobDamaged, match="neither here"):
        other.read("r1", blob)


def test_many_fetch_the_same_blob_at_once(sharing: tuple[Side, Side]) -> None:
    one, other = sharing
    blob = one.write("r1", "b-0", BODY)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: other.read("r1", blob), range(8)))
    assert set(found) == {BODY}
    assert os.listdir(other.blobs.path(WORKFLOW, "r1")) == ["b-0"]


def test_a_folder_that_a_sweep_removed_is_made_again(sharing: tuple[Side, Side]) -> None:
    one, other = sharing
    one.write("r1", "b-0", BODY)
    assert other.shared is not None
    other.shared.remove(WORKFLOW, "r1")
    blob = one.write("r1", f"b-{secrets.randbelow(9)}", BODY)
    assert other.read("r1", blob) == BODY


def _replace(side: Side, name: str, body: bytes) -> None:
    """Write something else in the place, as only a mistake or an attack does."""
    assert side.shared is not None

    def write(back_end: object) -> None:
        with closing(back_end.draft((BLOBS, WORKFLOW, "r1", name))) as draft:  # type: ignore[attr-defined]  # a back end
            draft.file.write(body)
            draft.publish()

    side.shared.call(write)
