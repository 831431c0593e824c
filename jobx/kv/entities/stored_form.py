"""The stored form of an entity: how it comes back, and the write that replaces another one."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from jobx.entity_json import decode, encode
from jobx.errors import InvalidInput, TooLarge, quote
from jobx.kv.entities.references import KINDS, E
from jobx.kv.store import Create, Entry, Put, Replace, Write

#: Longest description of a handler; ``model.py`` has the limits of other kinds.
MAX_DESCRIPTION: Final = 65_536


class Current(NamedTuple):
    """What is stored under the key of an entity; None and None: it is damaged."""

    value: bytes | None
    revision: int | None


def as_stored(entity: E) -> E:
    """Return an entity as it comes back from the store.

    Raises:
        InvalidInput: A field is wrong, or JSON would change it.
        TooLarge: The description is too long.
    """
    kind = KINDS[type(entity)]
    if len(entity.description) > MAX_DESCRIPTION:
        limit = f"may have at most {MAX_DESCRIPTION} characters"
        raise TooLarge(f"{kind}: description", f"{len(entity.description)} characters", limit)
    try:
        body = encode(entity)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidInput(kind, quote(entity), f"cannot be written as JSON: {error}") from error
    stored = decode(type(entity), kind, body)
    if stored != entity:
        reason = "has a value that JSON lacks; write it with a tag, such as $bytes or $float"
        raise InvalidInput(kind, quote(entity), reason)
    return stored


def write_of(key: str, current: Current | Entry | None, entity: msgspec.Struct) -> list[Write]:
    """Return the write of an entity; nothing if it is stored in this form already."""
    body = encode(entity)
    if current is None:
        return [Create(key, body)]
    if current.revision is None:
        return [Put(key, body)]  # no other change of entities can come between
    return [] if current.value == body else [Replace(key, body, current.revision)]
