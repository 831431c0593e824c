"""Decodes entries."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from jobx.errors import EntryDamaged, FormUnknown, InvalidInput
from jobx.kv.store import Entry
from jobx.model import decode

E = TypeVar("E", bound=msgspec.Struct)

#: How msgspec says that a map has a field that its struct lacks.
_UNKNOWN: Final = "contains unknown field"


def decoded(kind: type[E], entry: Entry) -> E:
    """Return the entity in an entry.

    Raises:
        FormUnknown: A newer version wrote it: it has a field that this one does not know.
        EntryDamaged: It has something else.
    """
    try:
        return decode(kind, entry.key, entry.value)
    except InvalidInput as error:
        if _UNKNOWN in error.args[2]:
            raise FormUnknown(entry.key, f"its form is unknown: {error}") from error
        raise EntryDamaged(entry.key, f"its content is not the expected one: {error}") from error
