"""The leases' contract, over every store that has leases."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from jobx.errors import InUse, StoreRefused
from jobx.kv.leases import Holders, Watch, decode
from jobx.kv.store import Create, Put
from tests.support.stores import OpenStore
from tests.support.waiting import eventually

#: Short, but a renewal has a third of it.
TTL_S = 4.0


@pytest.fixture(params=["memory", "etcd", "etcd2"])
def store(request: pytest.FixtureRequest, open_store: OpenStore, tmp_path: Path) -> Iterator[Any]:
    opened = open_store(request.param, tmp_path)
    yield opened
    opened.close()


def holder(store: Any) -> str | None:
    entry = store.get("nodes/a")
    return decode(entry.value).holder if entry else None


def test_a_lease_that_is_held_names_its_holder(store: Any) -> None:
    store.lease("nodes/a", "me", 60.0).acquire()
    assert holder(store) == "me"


def test_another_one_does_not_get_what_is_renewed(store: Any) -> None:
    mine, other = (store.lease("nodes/a", name, TTL_S) for name in ("me", "other"))
    mine.acquire()
    for _ in range(3):
        assert mine.renew()
        with pytest.raises(InUse, match="me"):
            other.renew()
    assert holder(store) == "me"


def test_another_one_gets_what_is_not_renewed(store: Any) -> None:
    mine, other = (store.lease("nodes/a", name, TTL_S) for name in ("me", "other"))
    mine.acquire()
    other.acquire()
    assert holder(store) == "other"
    with pytest.raises(InUse, match="other"):
        mine.renew()


def test_what_was_released_is_free_at_once(store: Any) -> None:
    mine = store.lease("nodes/a", "me", 60.0)
    mine.acquire()
    mine.release()
    mine.release()
    assert holder(store) is None
    store.lease("nodes/a", "other", 60.0).renew()
    assert holder(store) == "other"


def test_a_renewal_that_comes_after_the_release_does_nothing(store: Any) -> None:
    mine = store.lease("nodes/a", "me", 60.0)
    mine.acquire()
    mine.release()
    mine.renew()
    assert holder(store) is None
    mine.acquire()
    assert holder(store) == "me"


def test_who_has_the_same_name_takes_it_over_at_once(store: Any) -> None:
    store.lease("nodes/a", "me", 60.0).acquire()
    again = store.lease("nodes/a", "me", 60.0)
    again.renew()
    again.release()
    assert holder(store) is None


def test_what_was_lost_to_nobody_is_taken_again(store: Any) -> None:
    mine = store.lease("nodes/a", "me", TTL_S)
    mine.acquire()
    store.lease("nodes/a", "me", TTL_S).release()  # of another life, which held nothing
    eventually(lambda: _is_free(store), timeout_s=60)
    assert not mine.renew()
    assert mine.renew()
    assert holder(store) == "me"
    with pytest.raises(InUse):
        store.lease("nodes/a", "other", TTL_S).renew()


def test_a_holder_shows_what_it_was_last_told_to(store: Any) -> None:
    mine = store.lease("nodes/a", "me", 60.0, "first")
    mine.acquire()
    assert decode(store.get("nodes/a").value).value == "first"
    assert mine.renew("second")
    assert mine.renew()
    assert decode(store.get("nodes/a").value).value == "second"
    mine.release()
    mine.renew("third")
    mine.acquire()
    assert decode(store.get("nodes/a").value).value == "third"


def test_a_new_value_does_not_take_what_another_one_has(store: Any) -> None:
    store.lease("nodes/a", "other", 60.0, "theirs").acquire()
    with pytest.raises(InUse, match="other"):
        store.lease("nodes/a", "me", 60.0).renew("mine")
    assert decode(store.get("nodes/a").value).value == "theirs"


def seen(watch: Watch) -> Holders:
    """Return the next state of a watch."""
    found = watch.next(60.0)
    assert found is not None
    return found


def test_a_watch_begins_with_what_is_held_also_with_nothing(store: Any) -> None:
    assert seen(store.watch("nodes/")) == {}
    store.lease("nodes/a", "me", 60.0, "text").acquire()
    store.lease("other/a", "me", 60.0).acquire()
    ((key, held),) = seen(store.watch("nodes/")).items()
    assert (key, held.holder, held.value) == ("nodes/a", "me", "text")


def test_a_watch_says_nothing_while_nothing_changes(store: Any) -> None:
    mine, watch = store.lease("nodes/a", "me", 60.0), store.watch("nodes/")
    mine.acquire()
    seen(watch)
    mine.renew()
    store.commit([Put("nodes_state", b"")])
    assert watch.next(0.2) is None


def test_a_watch_hears_of_holders_that_come_tell_something_else_and_go(store: Any) -> None:
    watch = store.watch("nodes/")
    seen(watch)
    leases = [store.lease(f"nodes/{name}", name, 60.0, "1") for name in "ab"]
    leases[0].acquire()
    assert set(seen(watch)) == {"nodes/a"}
    leases[1].acquire()
    assert set(seen(watch)) == {"nodes/a", "nodes/b"}
    leases[1].renew("2")
    assert seen(watch)["nodes/b"].value == "2"
    leases[0].release()
    assert set(seen(watch)) == {"nodes/b"}


def test_a_watch_hears_of_a_holder_that_died(store: Any) -> None:
    watch = store.watch("nodes/")
    store.lease("nodes/a", "me", TTL_S).acquire()
    assert set(seen(watch)) == {"nodes/a"}
    assert seen(watch) == {}


def test_a_watch_hears_of_a_holder_that_lost_it_and_took_it_again(store: Any) -> None:
    mine, watch = store.lease("nodes/a", "me", 60.0), store.watch("nodes/")
    mine.acquire()
    before = seen(watch)["nodes/a"]
    store.lease("nodes/a", "me", 60.0).acquire()
    after = seen(watch)["nodes/a"]
    assert (before.holder, before.term != after.term) == (after.holder, True)


def test_a_watch_that_waits_hears_of_a_change_by_another_thread(store: Any) -> None:
    watch = store.watch("nodes/")
    seen(watch)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(seen, watch)
        store.lease("nodes/a", "me", 60.0).acquire()
        assert set(waiting.result(60)) == {"nodes/a"}


def test_a_watch_catches_up_with_what_changed_between_two_looks(store: Any) -> None:
    mine, watch = store.lease("nodes/a", "me", 60.0), store.watch("nodes/")
    mine.acquire()
    seen(watch)
    for number in range(20):
        mine.renew(str(number))
    store.lease("nodes/b", "me", 60.0).acquire()
    eventually(lambda: set(watch.next(1.0) or ()) == {"nodes/a", "nodes/b"})


def test_a_watch_takes_what_is_no_lease_for_the_name_of_a_holder(store: Any) -> None:
    store.commit([Create("nodes/a", b"\xffold")])
    assert seen(store.watch("nodes/"))["nodes/a"].holder == "\ufffdold"


def test_a_watch_of_a_closed_store_is_refused(store: Any) -> None:
    watch = store.watch("nodes/")
    seen(watch)
    store.close()
    with pytest.raises(StoreRefused):
        watch.next(5.0)


def _is_free(store: Any) -> bool:
    probe = store.lease("nodes/a", "probe", 60.0)
    try:
        probe.renew()
    except InUse:
        return False
    probe.release()
    return True
