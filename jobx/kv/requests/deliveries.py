"""Deliveries of the results of finished requests.

The first writes of a delivery are committed together with the request's last event. So a result
never exists without its delivery.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Final

from jobx.entity_json import encode
from jobx.errors import Conflict, EntryDamaged, FormUnknown, NotFound, OutcomeUnknown
from jobx.kv import keys
from jobx.kv.entries import decoded
from jobx.kv.prefixes import scan
from jobx.kv.store import Delete, Entry, Put, Replace, Store, Write
from jobx.model import Delivery, Request

PENDING: Final = "pending"
GIVEN_UP: Final = "given_up"


def first(request: Request) -> Delivery | None:
    """Return the first state of a request's delivery, or None if it needs none."""
    destination = request.destination
    if destination is None or request.result is None:
        return None
    delivery_id = f"{request.workflow_name}/{request.request_id}"
    return Delivery(delivery_id=delivery_id, writer=destination.writer, place=destination.place)


def begin_writes(request: Request, node_id: str) -> list[Write]:
    """Return the writes that make a delivery due on a node; none if the request needs none."""
    delivery = first(request)
    if delivery is None:
        return []
    names = request.workflow_name, request.request_id
    return [
        Put(keys.delivery(*names), encode(delivery)),
        Put(keys.undelivered(node_id, *names), b""),
    ]


def read(store: Store, request: Request) -> list[Delivery]:
    """Return the deliveries of a request: one, or none."""
    if first(request) is None:
        return []
    found = get(store, request.workflow_name, request.request_id)
    return [found[0]] if found else []


def get(store: Store, workflow: str, request_id: str) -> tuple[Delivery, Entry] | None:
    """Return a delivery and its entry, or None."""
    entry = store.get(keys.delivery(workflow, request_id))
    return (decoded(Delivery, entry), entry) if entry else None


def is_pending(store: Store, workflow: str, request_id: str) -> bool:
    """Tell whether the result of a request is still being delivered."""
    found = get(store, workflow, request_id)
    return found is not None and found[0].state == PENDING


def given_up(store: Store, workflow: str) -> Iterator[str]:
    """Yield the ids of the requests of a workflow whose delivery was given up."""
    prefix = keys.delivery(workflow, "")
    for entry in scan(store, prefix):
        if decoded(Delivery, entry).state == GIVEN_UP:
            yield entry.key.removeprefix(prefix)


def undelivered(store: Store, node_id: str, limit: int) -> list[tuple[str, str]]:
    """Return workflow and request id of the deliveries of a node."""
    return [*islice(each_undelivered(store, node_id), limit)]


def each_undelivered(store: Store, node_id: str) -> Iterator[tuple[str, str]]:
    """Yield what ``undelivered`` returns, without a limit, reading a page at a time."""
    for entry in scan(store, keys.undelivered(node_id)):
        if (names := keys.request_of(entry.key)) is not None:
            yield names


def is_of(store: Store, node_id: str, workflow: str, request_id: str) -> bool:
    """Tell whether a node has to carry out a delivery."""
    return store.get(keys.undelivered(node_id, workflow, request_id)) is not None


def drop(store: Store, node_id: str, workflow: str, request_id: str) -> None:
    """Remove a delivery that does not exist from a node's list."""
    store.commit([Delete(keys.undelivered(node_id, workflow, request_id))])


def save(store: Store, node_id: str, names: tuple[str, str], delivery: Delivery) -> bool:
    """Write the state of a delivery; if it has ended, remove it from the node's list.

    Returns False, and writes nothing, if the request is gone, or another node has its delivery.
    """
    found = get(store, *names)
    if found is None:
        return False
    if not is_of(store, node_id, *names):  # or it was written, and the answer was lost
        return found[0] == delivery and delivery.state != PENDING
    writes: list[Write] = [Replace(found[1].key, encode(delivery), found[1].revision)]
    if delivery.state != PENDING:
        writes.append(Delete(keys.undelivered(node_id, *names)))
    try:
        store.commit(writes)
    except Conflict:
        return False
    return True


def take_over(
    store: Store, lost_id: str, node_id: str, wanted: Iterable[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Move deliveries of a lost node to another one, and return those that it got.

    Each moves with its state. Of several nodes that take it over, one gets it. What may have moved
    is returned, too: ``is_of`` tells. What a newer JobX wrote stays.

    Args:
        store: Where they are.
        lost_id: The lost node.
        node_id: The node that carries them out from now on.
        wanted: Workflows and request ids of the deliveries.

    Raises:
        JobxError: The store failed, and nothing has moved.
    """
    taken: list[tuple[str, str]] = []
    moves: list[list[Write]] = []
    over: list[list[Write]] = []
    for names in wanted:
        unit: list[Write] = [Delete(keys.undelivered(lost_id, *names))]
        entry = store.get(keys.delivery(*names))
        with suppress(FormUnknown):
            if entry is not None:  # one that is renewed meanwhile keeps its marker
                unit.append(Replace(entry.key, entry.value, entry.revision))
            if entry is None or _is_over(entry):
                over.append(unit)
            else:
                moves.append([*unit, Put(keys.undelivered(node_id, *names), b"")])
                taken.append(names)
    return _committed(store, taken, [*moves, *over])


def _is_over(entry: Entry) -> bool:
    """Tell whether a delivery has ended; who tries a damaged one will say so."""
    try:
        return decoded(Delivery, entry).state != PENDING
    except FormUnknown:
        raise
    except EntryDamaged:
        return False


def _committed(
    store: Store, taken: list[tuple[str, str]], units: list[list[Write]]
) -> list[tuple[str, str]]:
    """Write each unit that can be, and return whose may be there; those of ``taken`` come first."""
    try:
        outcomes = store.commit_many([[unit] for unit in units])
    except OutcomeUnknown:
        return taken
    # A conflict means that somebody else carries it out, or has.
    errors = [one.error for one in outcomes if not isinstance(one.error, Conflict | None)]
    moved = [
        names
        for names, one in zip(taken, outcomes, strict=False)
        if isinstance(one.error, OutcomeUnknown | None)
    ]
    if errors and not moved:
        raise errors[0]
    return moved


def renew(store: Store, node_id: str, workflow: str, request_id: str) -> bool:
    """Make an ended delivery due again, as if it was never tried; do not change a pending one.

    Returns:
        Whether it is due on this node.

    Raises:
        NotFound: There is no delivery.
    """
    found = get(store, workflow, request_id)
    if found is None:
        raise NotFound("delivery of a result", f"{workflow}/{request_id}")
    delivery, entry = found
    here = keys.undelivered(node_id, workflow, request_id)
    if delivery.state == PENDING:
        return store.get(here) is not None
    again = Delivery(delivery_id=delivery.delivery_id, writer=delivery.writer, place=delivery.place)
    with suppress(Conflict):  # somebody else was first
        store.commit(
            [
                Replace(entry.key, encode(again), entry.revision),
                Put(here, b""),
            ]
        )
        return True
    return False
