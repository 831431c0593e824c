"""The events of a request. Its log is the ordered list of them and the only truth about it.

Every event is frozen, has its time (``at``, wall clock, for people only: it decides nothing) and is
a map of plain values in the log. Vertices are the mapper invocations of
a request, numbered from 0 (the root) in the order in which they were mapped; the combiner and the
reducer of a mapper share its number. A chunk is a row of siblings, named by its first vertex.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec
from msgspec import Struct

from jobx.actors.request.spans import Span
from jobx.errors import EntryDamaged, FormUnknown, quote
from jobx.model import Failure, RequestState
from jobx.payload import Payload, PayloadWire, StageData

Kind: TypeAlias = Literal["map", "combine", "reduce"]
Notes: TypeAlias = dict[int, dict[str, Any]]

#: Events of a log that takes long to read.
LONG: Final = 10_000


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
    #: Work waits for a node that offers what it requires, however long.
    may_wait: bool = False


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
    span: Span | None = None
    #: What the stages of mappers yielded, if that is kept.
    data: StageData | None = None


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
    #: What the failed attempt wrote; as for Done are its place, time and data.
    notes: Notes = {}
    node: str = ""
    span: Span | None = None
    data: StageData | None = None


class Failed(Struct, frozen=True):
    """An invocation failed for good."""

    at: float
    kind: Kind
    chunk: int
    vertex: int
    attempt: int
    failure: Failure
    notes: Notes = {}
    node: str = ""
    span: Span | None = None
    data: StageData | None = None


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
#: Fields that are not written while they are empty.
_OMITTED: Final[dict[type[Event], tuple[str, ...]]] = {
    Accepted: ("may_wait",),
    Done: ("node", "span", "data"),
    Retried: ("notes", "node", "span", "data"),
    Failed: ("node", "span", "data"),
}
_FAILURE_FIELDS: Final = frozenset(Failure.__struct_fields__)
_PAYLOAD_ITEMS: Final = len(Payload.__struct_fields__)
_WIRES: Final = ("arguments", "payload", "payloads", "result")
#: Fields with words that decide something.
_WORDS: Final = {
    "kind": frozenset(get_args(Kind)),
    "outcome": frozenset(("reduced", "combined", "mapped")),
    "state": frozenset(get_args(RequestState)),
}


def to_record(event: Event) -> dict[str, Any]:
    """Return an event as a map of plain values."""
    kind = type(event)
    record: dict[str, Any] = {"event": _TAG_OF[kind], **msgspec.structs.asdict(event)}
    for name in _FLAT_FIELDS[kind]:
        if record[name] is not None:
            record[name] = _FLATTEN[name](record[name])
    for name in _OMITTED.get(kind, ()):
        if not record[name]:
            del record[name]
    return record


def from_record(record: dict[str, Any]) -> Event:
    """Return the event of a map of ``to_record``.

    Raises:
        FormUnknown: A newer version wrote it: this one would lose or mistake a part of it.
        EntryDamaged: The map is no event.
    """
    kind, fields = _split(record)
    reason = _unknown(record["event"], kind, fields)
    if kind is None or reason is not None:
        raise FormUnknown("of a log", reason or "")
    return _event(kind, fields)


def known_part(record: dict[str, Any]) -> Event | None:
    """Return what this version knows of an event, for people; None for an event of a newer one.

    Raises:
        EntryDamaged: The map is no event.
    """
    kind, fields = _split(record)
    if kind is None:
        return None
    names = _NAMES[kind]
    if not fields.keys() <= names:
        fields = {name: value for name, value in fields.items() if name in names}
    failure = fields.get("failure")
    if type(failure) is dict:
        known = failure.keys() & _FAILURE_FIELDS
        fields["failure"] = {name: failure[name] for name in known}
    return _event(kind, fields)


def _split(record: dict[str, Any]) -> tuple[type[Event] | None, dict[str, Any]]:
    """Return the class of an event, None for an unknown one, and its fields."""
    fields = dict(record)
    name = fields.pop("event", None)
    if type(name) is not str:
        raise EntryDamaged("of a log", f"it names no event: {sorted(map(str, record))}")
    return _TAGS.get(name), fields


def _unknown(name: str, kind: type[Event] | None, fields: dict[str, Any]) -> str | None:
    """Return what this version does not know of an event; None if it knows all of it."""
    if kind is None:
        return f"the event {quote(name)} is unknown"
    found = {str(field) for field in fields} - {*kind.__struct_fields__}
    if type(failure := fields.get("failure")) is dict:
        found |= {f"failure.{field}" for field in failure if field not in _FAILURE_FIELDS}
    found |= {field for field in _WIRES if _is_longer(fields.get(field))}
    for field, words in _WORDS.items():
        if type(word := fields.get(field)) is str and word not in words:
            found.add(f"{field} {quote(word)}")
    return f"its {name} event has an unknown {', '.join(sorted(found))}" if found else None


def _is_longer(wire: object) -> bool:
    """Whether the wire of a payload, or one of several, has more than this version knows."""
    if not isinstance(wire, list | tuple):
        return False
    wires = wire if wire and isinstance(wire[0], list | tuple) else [wire]
    return any(isinstance(one, list | tuple) and len(one) > _PAYLOAD_ITEMS for one in wires)


def _event(kind: type[Event], fields: dict[str, Any]) -> Event:
    try:
        for name, rebuild in _REBUILDS[kind]:
            if fields.get(name) is not None:
                fields[name] = rebuild(fields[name])
        return kind(**fields)
    except (TypeError, ValueError) as error:  # msgspec's errors are ValueErrors
        reason = f"its {_TAG_OF[kind]} event has not the form of one"
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
    "span": lambda wire: Span(*map(operator.index, wire)),
    "data": lambda wire: msgspec.convert(wire, StageData),
}
_FLAT_FIELDS: Final = {
    kind: tuple(name for name in kind.__struct_fields__ if name in _FLATTEN)
    for kind in _TAGS.values()
}
_NAMES: Final = {kind: frozenset(kind.__struct_fields__) for kind in _TAGS.values()}
_REBUILDS: Final = {
    kind: tuple((name, _REBUILD[name]) for name in kind.__struct_fields__ if name in _REBUILD)
    for kind in _TAGS.values()
}
