"""What a node is asked to do through the store, by commands that may run on any host.

A node looks for its calls about once a second. So it can be asked as long as it reaches the store,
also when it has no queue and no peer. Each kind of call is one key, so a repetition changes
nothing. A node answers a call by taking its key away; what it reports is under another key. Both
are removed once the node has left (``actors/record_sweep.py``).
"""

from __future__ import annotations

from typing import Final

from jobx.kv import keys
from jobx.kv.store import Delete, Entry, Put, Store

#: To report how it is.
REPORT: Final = "report"
#: To drain and end; the text of the call is the registration that is meant.
DRAIN: Final = "drain"


def call(store: Store, node_id: str, what: str, text: str = "") -> None:
    """Ask a node for something."""
    store.commit([Put(keys.call(node_id, what), text.encode())])


def calls(store: Store, node_id: str) -> dict[str, str]:
    """Return the text of each kind of call for a node."""
    prefix = keys.call(node_id)
    found = store.range(prefix)
    return {entry.key.removeprefix(prefix): entry.value.decode(errors="replace") for entry in found}


def withdraw(store: Store, node_id: str, what: str) -> None:
    """Take a call away; one that is not there is fine."""
    store.commit([Delete(keys.call(node_id, what))])


def report(store: Store, node_id: str, value: bytes) -> None:
    """Answer the call for a report."""
    store.commit([Put(keys.report(node_id), value), Delete(keys.call(node_id, REPORT))])


def last_report(store: Store, node_id: str) -> Entry | None:
    """Return what a node reported when it was last asked."""
    return store.get(keys.report(node_id))
