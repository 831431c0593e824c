from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jobx.actors import store_health
from jobx.actors.notification import Notification
from jobx.actors.store_health import StoreHealth, check_at_start
from jobx.errors import EntryDamaged, StoreFull, StoreRefused
from jobx.kv.memory import MemoryStore


class SizedStore(MemoryStore):
    """A store that is as large as it says, and damaged."""

    size = 1 << 30

    def size_bytes(self) -> int:
        return self.size

    def check(self) -> None:
        raise EntryDamaged("a", "it is not what was written")


def test_trouble_with_the_store_is_told_and_so_is_its_end() -> None:
    told: list[Notification] = []
    health = StoreHealth("n", SizedStore(), told.append)
    health.tell(StoreFull("here", "no room"))
    health.tell(None)
    assert [one.kind for one in told] == ["store.stalled", "store.back"]


def test_small_store_is_checked_at_the_start(tmp_path: Path) -> None:
    store = SizedStore()
    store.size = 1
    with pytest.raises(EntryDamaged):
        check_at_start(store, tmp_path, "store")


def test_large_store_is_checked_later(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(store_health, "CHECK_AFTER_S", 0.0)
    check_at_start(SizedStore(), tmp_path, "store")
    told: list[Notification] = []
    health = StoreHealth("n", SizedStore(), told.append)
    asyncio.run(health.check_later())
    assert health.trouble is not None and "entry a" in health.trouble
    assert [one.kind for one in told] == ["store.damaged"]


def test_store_of_another_folder_is_refused(tmp_path: Path) -> None:
    check_at_start(SizedStore(), tmp_path, "store")
    with pytest.raises(StoreRefused):
        check_at_start(SizedStore(), tmp_path, "store")
