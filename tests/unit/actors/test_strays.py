from __future__ import annotations

from jobx.actors.messages import RequestKey
from jobx.actors.strays import Strays
from jobx.kv import keys
from jobx.kv.memory import MemoryStore
from jobx.kv.store import Delete, Put

STRAY, OPEN, ENDED, NEW = (RequestKey("w", name) for name in ("stray", "open", "ended", "new"))


def test_what_is_open_and_unknown_at_two_looks_is_found() -> None:
    store = MemoryStore()
    known = {OPEN}
    strays = Strays(store, "n", known.__contains__)
    store.commit([Put(keys.opened("n", *key), b"{}") for key in (STRAY, OPEN, ENDED)])
    store.commit([Put(keys.opened("other", *NEW), b"{}")])
    strays.look()
    assert strays.found == ()
    store.commit([Delete(keys.opened("n", *ENDED)), Put(keys.opened("n", *NEW), b"{}")])
    strays.look()
    assert strays.found == (STRAY,)
    assert strays.opened == {STRAY, OPEN, NEW}
    known.add(STRAY)
    strays.look()
    assert strays.found == (NEW,)


def test_deliveries_of_the_node_are_found_that_a_store_wrote_late() -> None:
    store = MemoryStore()
    strays = Strays(store, "n", lambda _: True)
    store.commit([Put(keys.undelivered("n", *ENDED), b""), Put(keys.undelivered("o", *NEW), b"")])
    strays.look()
    assert strays.undelivered == (ENDED,)
