"""The lives of a node, and the requests that ran in each: durable, to find causes of deaths.

Every start of a node is a life with a growing incarnation. The open marker of a request has the
life in which it last continued, and the number of lives in a row that ended by a death while it ran
without progress.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec.structs import replace

from jobx.errors import UNREADABLE, Conflict, EntryDamaged, InternalError
from jobx.kv import keys
from jobx.kv.prefixes import scan
from jobx.kv.requests import event_log
from jobx.kv.requests.request_index import Row
from jobx.kv.store import Entry, Put, Replace, Store

#: 1: finished requests are in the indexes by job, error and arguments, and are counted.
FORM: Final = 1
#: Lives that ended by a death and are remembered.
MOST_DEATHS: Final = 64


class Life(msgspec.Struct, frozen=True):
    """The record that a start of a node leaves for the next one.

    Attributes:
        incarnation: Grows with every start, whatever the wall clock does.
        boot: The boot of the machine.
        boot_s: Seconds since that boot …
        at: … at this time of the service clock.
        capabilities: What the node offered; None if it did not say.
        is_over: The node was stopped, and did not die.
        form: Of what it writes of requests; see ``FORM``.
        left_at: Since when the node is gone, as far as others know; 0 while it is there.
        stopped: The incarnation of the life before this one, if that was over, else 0: what nodes
            of earlier versions ask instead of the following.
        died: The incarnations of lives before this one that ended by a death, the last ones; None:
            an earlier version did not say.
    """

    incarnation: int = 0
    boot: str = ""
    boot_s: float = 0.0
    at: float = 0.0
    capabilities: tuple[str, ...] | None = None
    is_over: bool = False
    form: int = 0
    left_at: float = 0.0
    stopped: int = 0
    died: tuple[int, ...] | None = None

    def has_lost(self, incarnation: int, *, is_there: bool) -> bool:
        """Whether a life of this node ended by a death.

        Nobody knows it of a node whose record was removed, or that died very often since: then it
        is not said to have died.

        Args:
            incarnation: The life.
            is_there: The node runs.
        """
        if not self.incarnation:
            return False
        if incarnation == self.incarnation:
            return not (is_there or self.is_over)
        return incarnation != self.stopped if self.died is None else incarnation in self.died

    def deaths(self) -> tuple[int, ...]:
        """Return ``died`` of the life after this one."""
        is_death = self.incarnation and not self.is_over
        died = self.died or ()
        return (*died, self.incarnation)[-MOST_DEATHS:] if is_death else died


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """The value of an open marker.

    Attributes:
        life: Incarnation of the life in which the request was accepted or last continued; 0 if
            the following was written since then. Together with ``is_alone`` 0 means: end it.
        deaths: Deaths of the node in a row in which it ran without progress.
        is_alone: It runs without any other suspect.
        events: Number of events in its log when it continued.
        turn: Number of suspects that continued before it in that life.
        reader: The node that was about to adopt it, in its life ``life``; empty: nobody yet.
        job: Its job; empty in marks of older versions.
        arguments: Digests of the arguments that it can be found by.
    """

    life: int = 0
    deaths: int = 0
    is_alone: bool = False
    events: int = 0
    turn: int = 0
    reader: str = ""
    job: str = ""
    arguments: tuple[str, ...] = ()


class OpenRequest(msgspec.Struct, frozen=True):
    """A request that a node coordinates, and its mark."""

    node_id: str
    workflow: str
    request_id: str
    mark: Mark


_LIFE: Final = msgspec.json.Decoder(Life)
_MARK: Final = msgspec.json.Decoder(Mark)


def last(store: Store, node_id: str) -> Life:
    """Return the record of a node's last start; an empty life before the first."""
    entry = store.get(keys.life(node_id))
    try:
        return Life() if entry is None else _LIFE.decode(entry.value)
    except UNREADABLE as error:
        raise InternalError(f"what the store holds under {keys.life(node_id)}: {error}") from error


def begin(store: Store, node_id: str, life: Life) -> None:
    """Record a life; it is durable when this returns."""
    store.commit([Put(keys.life(node_id), msgspec.json.encode(life))])


def leave(entry: Entry, left_at: float) -> Replace:
    """Return the write that notes since when a node is gone; 0: it is there.

    What a later version has recorded stays.
    """
    fields = {**msgspec.json.decode(entry.value), "left_at": left_at}
    return Replace(entry.key, msgspec.json.encode(fields), entry.revision)


def read(entry: Entry) -> Life | None:
    """Return the life that a record is of; None: it cannot be read."""
    try:
        return _LIFE.decode(entry.value)
    except UNREADABLE:
        return None


def has_open(store: Store, node_id: str) -> bool:
    """Whether a node has open requests, or deliveries to carry out."""
    damaged: list[EntryDamaged] = []
    prefixes = keys.opened_by(node_id), keys.undelivered(node_id)
    found = [store.range(prefix, limit=1, damaged=damaged) for prefix in prefixes]
    return any(found) or bool(damaged)


def encode(mark: Mark) -> bytes:
    """Return the value of an open marker."""
    return msgspec.json.encode(mark)


def opened(store: Store, node_id: str) -> list[OpenRequest]:
    """Return every request that a node coordinates, with its mark; oldest first."""
    return list(each_opened(store, node_id))


def each_opened(store: Store, node_id: str) -> Iterator[OpenRequest]:
    """Yield what ``opened`` returns, reading a page at a time."""
    for entry in scan(store, keys.opened_by(node_id)):
        if (found := keys.request_of(entry.key)) is not None:
            yield OpenRequest(node_id, *found, _mark(entry.value))


def row_of(value: bytes) -> Row | None:
    """Return what an open marker tells of its request; None: only the request itself can."""
    mark = _mark(value)
    return Row(mark.job, "running", "", mark.arguments) if mark.job else None


def take_up(store: Store, requests: Iterable[OpenRequest]) -> None:
    """Write marks of requests that continue, with the number of their next events."""
    counted = []
    for one in requests:
        known = one.mark.events
        events = event_log.next_number(store, one.workflow, one.request_id, known)
        counted.append(replace(one, mark=replace(one.mark, events=events)))
    mark(store, counted)


def mark(store: Store, requests: Iterable[OpenRequest]) -> None:
    """Write marks of requests that are still open.

    Raises:
        JobxError: Some may not be written.
    """
    chains = []
    for request in requests:
        key = keys.opened(request.node_id, request.workflow, request.request_id)
        entry = store.get(key)
        if entry is not None:
            stays = _mark(entry.value)
            marked = replace(request.mark, job=stays.job, arguments=stays.arguments)
            chains.append([[Replace(key, encode(marked), entry.revision)]])
    for outcome in store.commit_many(chains):
        # A conflict means that it has ended meanwhile.
        if outcome.error is not None and not isinstance(outcome.error, Conflict):
            raise outcome.error


def _mark(value: bytes) -> Mark:
    """Return a mark; an unreadable mark counts no deaths."""
    try:
        return _MARK.decode(value)
    except UNREADABLE:
        return Mark()
