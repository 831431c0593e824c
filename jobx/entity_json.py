"""Entities from plain values and JSON, and as JSON.

Decoding is strict: an unknown field or a wrong type is refused with its place.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from jobx.errors import UNREADABLE, InvalidInput, quote
from jobx.model import (
    NAME_PATTERN,
    NAME_REASON,
    Delivery,
    Handler,
    Job,
    Plan,
    Request,
    Step,
    Workflow,
)

#: Required handlers of a step, by field.
_NEEDED: Final = {
    "map_handler_name": "a step needs a mapper",
    "reduce_handler_name": "a step needs a reducer",
}

E = TypeVar("E", bound=msgspec.Struct)

#: msgspec looks at a struct when it first meets it, and two threads that meet one at the same time
#: crash the process. So what threads read is met here, where there is one.
_DECODERS: Final[dict[type[Any], msgspec.json.Decoder[Any]]] = {
    kind: msgspec.json.Decoder(kind)
    for kind in (Workflow, Job, Step, Handler, Plan, Delivery, Request)
}


def convert(kind: type[E], where: str, fields: object) -> E:
    """Return plain values as an entity.

    Raises:
        InvalidInput: A field is missing, unknown or wrong; the message names it.
    """
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise _refusal(where, fields, error) from error


def encode(entity: msgspec.Struct) -> bytes:
    """Return an entity as JSON."""
    return msgspec.json.encode(entity)


def decode(kind: type[E], where: str, body: bytes) -> E:
    """Return the entity in a JSON body.

    Raises:
        InvalidInput: The body is not JSON or not such an entity.
    """
    try:
        entity: E = _DECODERS[kind].decode(body)
    except msgspec.ValidationError as error:
        raise _refusal(where, _plain(body), error) from error
    except UNREADABLE as error:
        raise InvalidInput(where, quote(body, 120), str(error)) from error
    return entity


def _plain(body: bytes) -> object:
    """Return what is in a JSON body; what is wrong with it may stand before what cannot be read."""
    try:
        return msgspec.json.decode(body)
    except UNREADABLE:
        return body


def _refusal(where: str, fields: object, error: msgspec.ValidationError) -> InvalidInput:
    """Return why ``fields`` are no entity; it describes a wrong name in words, not by a pattern."""
    expected, _, place = str(error).partition(" - at ")
    field = place.strip("`").removeprefix("$.")
    if repr(NAME_PATTERN) in expected and isinstance(fields, dict) and field in fields:
        name = fields[field]
        reason = NAME_REASON if name else _NEEDED.get(field, NAME_REASON)
        return InvalidInput(f"{where}: {field}", quote(name), reason)
    return InvalidInput(where, quote(fields, 120), str(error))
