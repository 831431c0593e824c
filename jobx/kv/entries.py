"""Decodes entries."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from jobx.errors import EntryDamaged, InvalidInput
from jobx.kv.store import Entry
from jobx.model import decode

E = TypeVar("E", bound=msgspec.Struct)


def decoded(kind: type[E], entry: Entry) -> E:
    """Return the entity in an entry.

    Raises:
        EntryDamaged: It has something else.
    """
    try:
        return decode(kind, entry.key, entry.value)
    except InvalidInput as error:
        raise EntryDamaged(entry.key, f"its content is not the expected one: {error}") from error
