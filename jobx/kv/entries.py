"""Entries as what they hold."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from jobx.errors import EntryDamaged, InvalidInput
from jobx.kv.store import Entry
from jobx.model import decode

E = TypeVar("E", bound=msgspec.Struct)


def decoded(kind: type[E], entry: Entry) -> E:
    """Return the entity that an entry holds.

    Raises:
        EntryDamaged: It holds something else.
    """
    try:
        return decode(kind, entry.key, entry.value)
    except InvalidInput as error:
        raise EntryDamaged(entry.key, f"its content is not the expected one: {error}") from error
