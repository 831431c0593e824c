"""The leases' contract, over every store that has leases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobx.errors import InUse
from tests.support.stores import OpenStore
from tests.support.waiting import eventually

#: Short, but a renewal has a third of it.
TTL_S = 2.0


@pytest.fixture(params=["memory", "etcd"])
def store(request: pytest.FixtureRequest, open_store: OpenStore, tmp_path: Path) -> Iterator[Any]:
    opened = open_store(request.param, tmp_path)
    yield opened
    opened.close()


def value(store: Any) -> bytes | None:
    entry = store.get("nodes/a")
    return entry.value if entry else None


def test_a_lease_that_is_held_names_its_holder(store: Any) -> None:
    store.lease("nodes/a", "me", 60.0).acquire()
    assert value(store) == b"me"


def test_another_one_does_not_get_what_is_renewed(store: Any) -> None:
    mine, other = (store.lease("nodes/a", name, TTL_S) for name in ("me", "other"))
    mine.acquire()
    for _ in range(3):
        mine.renew()
        with pytest.raises(InUse, match="me"):
            other.renew()
    assert value(store) == b"me"


def test_another_one_gets_what_is_not_renewed(store: Any) -> None:
    mine, other = (store.lease("nodes/a", name, TTL_S) for name in ("me", "other"))
    mine.acquire()
    other.acquire()
    assert value(store) == b"other"
    with pytest.raises(InUse, match="other"):
        mine.renew()


def test_what_was_released_is_free_at_once(store: Any) -> None:
    mine = store.lease("nodes/a", "me", 60.0)
    mine.acquire()
    mine.release()
    mine.release()
    assert value(store) is None
    store.lease("nodes/a", "other", 60.0).renew()
    assert value(store) == b"other"


def test_a_renewal_that_comes_after_the_release_does_nothing(store: Any) -> None:
    mine = store.lease("nodes/a", "me", 60.0)
    mine.acquire()
    mine.release()
    mine.renew()
    assert value(store) is None
    mine.acquire()
    assert value(store) == b"me"


def test_who_has_the_same_name_takes_it_over_at_once(store: Any) -> None:
    store.lease("nodes/a", "me", 60.0).acquire()
    again = store.lease("nodes/a", "me", 60.0)
    again.renew()
    again.release()
    assert value(store) is None


def test_what_was_lost_to_nobody_is_taken_again(store: Any) -> None:
    mine = store.lease("nodes/a", "me", TTL_S)
    mine.acquire()
    store.lease("nodes/a", "me", TTL_S).release()  # of another life, which held nothing
    eventually(lambda: _is_free(store), timeout_s=20)
    mine.renew()
    assert value(store) == b"me"
    with pytest.raises(InUse):
        store.lease("nodes/a", "other", TTL_S).renew()


def _is_free(store: Any) -> bool:
    probe = store.lease("nodes/a", "probe", 60.0)
    try:
        probe.renew()
    except InUse:
        return False
    probe.release()
    return True
