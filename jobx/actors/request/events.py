"""The events of a request. Its log is the ordered list of them and the only truth about it.

Every event is frozen, has its time (``at``, wall clock, for people only: it decides nothing) and is
a map of plain values in the log. Vertices are the mapper invocations of
a request, numbered from 0 (the root) in the order in which they were mapped; the combiner and the
reducer of a mapper share its number. A chunk is a row of siblings, named by its first vertex.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from jobx.errors import EntryDamaged
from jobx.model import Failure
from jobx.payload import Payload, PayloadWire

Kind: TypeAlias = Literal["map", "combine", "reduce"]
Notes: TypeAlias = dict[int, dict[str, Any]]


class Accepted(Struct, frozen=True):
    """The request exists; the root's arguments are the one item of ``arguments``."""

    at: float
    job: str
    step: str
    plan: str
    arguments: Payload
    time_limit_s: float
    #: A reduction of more input is done in partitions; kept here, since settings may change.
    partition_bytes: int = 1 << 60
    #: The node that coordinates the request, and runs its invocations unless an event says another.
    node: str = ""


class Mapped(Struct, frozen=True):
    """A mapper yielded the next chunk of its children; more may follow."""

    at: float
    chunk: int
    parent: int
    step: str
    start: int
    count: int
    payload: Payload
    digest: str


class Done(Struct, frozen=True):
    """Invocations succeeded.

    ``outcome`` of mappers: ``reduced`` (data, their combiner and reducer done as well),
    ``combined`` (data, the reducer is still to come) or ``mapped`` (no more children will come).
    """

    at: float
    kind: Kind
    chunk: int
    first: int
    count: int
    outcome: str
    payloads: tuple[Payload, ...] = ()
    partition: int = 0
    durations: bytes = b""
    notes: Notes = {}
    #: The node where they ran, if it is not the one that coordinates the request.
    node: str = ""


class Retried(Struct, frozen=True):
    """Invocations failed, or their output is gone; they will be retried.

    A combiner, and a reducer whose input is not kept, are retried together with their mapper.
    """

    at: float
    kind: Kind
    chunk: int
    first: int
    count: int
    attempt: int
    delay_s: float
    failure: Failure
    partition: int = 0


class Failed(Struct, frozen=True):
    """An invocation failed for good."""

    at: float
    kind: Kind
    chunk: int
    vertex: int
    attempt: int
    failure: Failure
    notes: Notes = {}


class Cancelled(Struct, frozen=True):
    """Somebody cancelled the request."""

    at: float
    reason: str


class Adopted(Struct, frozen=True):
    """A new coordinator owns the request; no earlier work is running any more."""

    at: float
    node: str
    incarnation: int


class Finished(Struct, frozen=True):
    """The request ended; nothing follows."""

    at: float
    state: str
    failure: Failure | None = None
    result: tuple[Payload, ...] = ()


Event: TypeAlias = Accepted | Mapped | Done | Retried | Failed | Cancelled | Adopted | Finished

_TAGS: Final[dict[str, type[Event]]] = {
    "accepted": Accepted,
    "mapped": Mapped,
    "done": Done,
    "retried": Retried,
    "failed": Failed,
    "cancelled": Cancelled,
    "adopted": Adopted,
    "finished": Finished,
}
_TAG_OF: Final = {kind: tag for tag, kind in _TAGS.items()}


def to_record(event: Event) -> dict[str, Any]:
    """Return an event as a map of plain values."""
    kind = type(event)
    record: dict[str, Any] = {"event": _TAG_OF[kind], **msgspec.structs.asdict(event)}
    for name in _FLAT_FIELDS[kind]:
        if record[name] is not None:
            record[name] = _FLATTEN[name](record[name])
    if kind is Done and not record["node"]:  # nearly all of the log
        del record["node"]
    return record


def from_record(record: dict[str, Any]) -> Event:
    """Return the event of a map of ``to_record``.

    Raises:
        EntryDamaged: The map is no event.
    """
    fields = dict(record)
    kind = _TAGS.get(str(fields.pop("event", "")))
    if kind is None:
        raise EntryDamaged("of a log", f"its event is unknown: {sorted(map(str, record))}")
    try:
        for name, rebuild in _REBUILD.items():
            if fields.get(name) is not None:
                fields[name] = rebuild(fields[name])
        return kind(**fields)
    except (TypeError, ValueError) as error:  # msgspec's errors are ValueErrors
        reason = f"its {record['event']} event has an unknown form"
        raise EntryDamaged("of a log", reason) from error


def _payloads(wires: list[Any]) -> tuple[Payload, ...]:
    return tuple(map(Payload.from_wire, wires))


def _wires(payloads: tuple[Payload, ...]) -> list[PayloadWire]:
    return [item.to_wire() for item in payloads]


#: Fields that are not plain values, with the conversions to and from them.
_FLATTEN: Final[dict[str, Callable[[Any], Any]]] = {
    "arguments": Payload.to_wire,
    "payload": Payload.to_wire,
    "payloads": _wires,
    "result": _wires,
    "failure": msgspec.to_builtins,
}
_REBUILD: Final[dict[str, Callable[[Any], Any]]] = {
    "arguments": Payload.from_wire,
    "payload": Payload.from_wire,
    "payloads": _payloads,
    "result": _payloads,
    "failure": lambda wire: msgspec.convert(wire, Failure),
}
_FLAT_FIELDS: Final = {
    kind: tuple(name for name in kind.__struct_fields__ if name in _FLATTEN)
    for kind in _TAGS.values()
}
