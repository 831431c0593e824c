"""A shared place that goes away and comes back, as a node sees it."""

from __future__ import annotations

import errno
import logging
from pathlib import Path
from typing import Any

import pytest

from jobx.actors.notification import Notification
from jobx.actors.place_health import PlaceHealth
from jobx.config_sections import BlobSettings
from jobx.handlers.blobs.opening import shared_blobs
from jobx.handlers.blobs.shared import SharedBlobs
from jobx.handlers.files.backend import failure
from jobx.handlers.files.local import Local

WAIT_S = 60.0


def test_a_place_that_goes_away_and_comes_back_is_told_once_each(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place, away = tmp_path / "place", tmp_path / "away"
    (place / "blobs").mkdir(parents=True)
    shared = shared_blobs(BlobSettings(url=f"file://{place}"), 0.0)
    assert shared is not None
    told: list[Notification] = []
    health = PlaceHealth("n", told.append)

    def look() -> str | None:
        health.look(shared)
        health.tell()
        return health.trouble

    caplog.set_level(logging.WARNING)
    assert [look(), look()] == [None, None]
    assert told == []
    place.rename(away)
    troubles = [look(), look()]
    assert all(text is not None and f"file://{place}" in text for text in troubles)
    assert [one.kind for one in told] == ["blobs.away"]
    away.rename(place)
    assert [look(), look()] == [None, None]
    assert [one.kind for one in told] == ["blobs.away", "blobs.back"]
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_place_that_takes_nothing_is_in_trouble_and_is_there(tmp_path: Path, number: int) -> None:
    place = Taking(tmp_path, None)
    shared = SharedBlobs("place:", lambda: place, WAIT_S, 0.0)  # type: ignore[arg-type, return-value]  # a back end
    told: list[Notification] = []
    health = PlaceHealth("n", told.append)
    found = []
    for place.number in (None, number, None):
        health.look(shared)
        health.tell()
        found.append((health.trouble is None, health.is_there))
    assert found == [(True, True), (False, True), (True, True)]
    assert [one.kind for one in told] == ["blobs.away", "blobs.back"]
    assert [path.name for path in (tmp_path / "blobs").iterdir()] == []


class Taking:
    """A folder as a back end that takes no files."""

    def __init__(self, root: Path, number: int | None) -> None:
        (root / "blobs").mkdir()
        self.healthy = Local(str(root))
        self.number = number

    def __getattr__(self, name: str) -> Any:
        if name == "draft" and self.number is not None:
            raise failure(self.number)
        return getattr(self.healthy, name)


def test_an_empty_mount_point_is_a_place_that_is_away(tmp_path: Path) -> None:
    shared = shared_blobs(BlobSettings(url=f"file://{tmp_path}"), 0.0)
    assert shared is not None
    health = PlaceHealth("n", lambda _: None)
    health.look(shared)
    health.tell()
    assert "no folder blobs" in str(health.trouble)
