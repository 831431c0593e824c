"""A shared place that goes away and comes back, as a node sees it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from jobx.actors.notification import Notification
from jobx.actors.place_health import PlaceHealth
from jobx.config import BlobSettings
from jobx.handlers.blobs.opening import shared_blobs


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


def test_an_empty_mount_point_is_a_place_that_is_away(tmp_path: Path) -> None:
    shared = shared_blobs(BlobSettings(url=f"file://{tmp_path}"), 0.0)
    assert shared is not None
    health = PlaceHealth("n", lambda _: None)
    health.look(shared)
    health.tell()
    assert "no folder blobs" in str(health.trouble)
