"""Events of a log as views of many invocations need them: without their data, decoded in one step.

A log may have a million events, and what invocations left is most of it.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from jobx.actors.request.events import Kind
from jobx.actors.request.spans import Span
from jobx.errors import UNREADABLE, EntryDamaged


class Fault(Struct, frozen=True):
    """A ``model.Failure`` without what belongs to one invocation alone."""

    kind: str = ""
    type: str = ""
    message: str = ""
    traceback: str = ""
    handler_name: str | None = None
    attempt: int = 1


class Accepted(Struct, frozen=True, tag="accepted", tag_field="event"):
    """See ``events.Accepted``."""

    at: float
    step: str
    plan: str
    node: str = ""


class Mapped(Struct, frozen=True, tag="mapped", tag_field="event"):
    """See ``events.Mapped``."""

    at: float
    chunk: int
    parent: int
    step: str
    start: int
    count: int


class Done(Struct, frozen=True, tag="done", tag_field="event"):
    """See ``events.Done``."""

    at: float
    kind: Kind
    chunk: int
    first: int
    count: int
    outcome: str
    partition: int = 0
    durations: bytes = b""
    node: str = ""
    span: Span | None = None


class Retried(Struct, frozen=True, tag="retried", tag_field="event"):
    """See ``events.Retried``."""

    at: float
    kind: Kind
    chunk: int
    first: int
    count: int
    attempt: int
    delay_s: float
    failure: Fault
    node: str = ""
    span: Span | None = None


class Failed(Struct, frozen=True, tag="failed", tag_field="event"):
    """See ``events.Failed``."""

    at: float
    kind: Kind
    chunk: int
    vertex: int
    attempt: int
    failure: Fault
    node: str = ""
    span: Span | None = None


class Cancelled(Struct, frozen=True, tag="cancelled", tag_field="event"):
    """See ``events.Cancelled``."""

    at: float


class Adopted(Struct, frozen=True, tag="adopted", tag_field="event"):
    """See ``events.Adopted``."""

    at: float
    node: str


class Finished(Struct, frozen=True, tag="finished", tag_field="event"):
    """See ``events.Finished``."""

    at: float
    state: str


class _Any(Struct, frozen=True):
    """What each event has."""

    event: str


class _Place(Struct, frozen=True):
    """Of which invocations an event is, if it is of several."""

    event: str
    first: int = 0
    count: int = 0


Glance: TypeAlias = Accepted | Mapped | Done | Retried | Failed | Cancelled | Adopted | Finished

_DECODER: Final[msgspec.msgpack.Decoder[Any]] = msgspec.msgpack.Decoder(Glance)
_KIND: Final = msgspec.msgpack.Decoder(_Any)
_PLACE: Final = msgspec.msgpack.Decoder(_Place)
_KNOWN: Final = frozenset(
    str(kind.__struct_config__.tag)
    for kind in (Accepted, Mapped, Done, Retried, Failed, Cancelled, Adopted, Finished)
)


def at(body: bytes) -> Glance | None:
    """Return an event of a log from its stored bytes; None for one of a newer version.

    Raises:
        EntryDamaged: The bytes are no event.
    """
    try:
        event: Glance = _DECODER.decode(body)
    except UNREADABLE as error:
        try:
            name = _KIND.decode(body).event
        except UNREADABLE:
            name = ""
        if name and name not in _KNOWN:
            return None
        raise EntryDamaged("of a log", f"it is no event: {error}") from error
    return event


def done(body: bytes) -> tuple[int, int] | None:
    """Return the first vertex and the number of those that are done; None for other events.

    Most events of a long log are these, and this is a tenth of the work of decoding one.
    """
    try:
        place = _PLACE.decode(body)
    except UNREADABLE:
        return None  # whoever decodes it says what it is
    return (place.first, place.count) if place.event == "done" else None
