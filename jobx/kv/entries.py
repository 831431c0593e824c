"""Decodes entries."""

from __future__ import annotations

import json
from typing import Any, Final, TypeVar

import msgspec
from msgspec import inspect
from msgspec.structs import replace

from jobx.entity_json import decode
from jobx.errors import EntryDamaged, FormUnknown, InvalidInput
from jobx.kv.store import Entry

E = TypeVar("E", bound=msgspec.Struct)

#: How msgspec says that a map has a field that its struct lacks, or a field another word.
_UNKNOWN: Final = ("contains unknown field", "Invalid enum value")


def decoded(kind: type[E], entry: Entry) -> E:
    """Return the entity in an entry.

    Raises:
        FormUnknown: A newer version wrote it: it has a field or a word that this one does not
            know.
        EntryDamaged: It has something else.
    """
    try:
        return decode(kind, entry.key, entry.value)
    except InvalidInput as error:
        if any(text in error.args[2] for text in _UNKNOWN):
            raise FormUnknown(entry.key, f"its form is unknown: {error}") from error
        raise EntryDamaged(entry.key, f"its content is not the expected one: {error}") from error


def known(kind: type[E], form: inspect.Type, entry: Entry) -> E:
    """Return the entity in an entry as far as this version knows it.

    Args:
        kind: What it is.
        form: What msgspec says of ``kind``.
        entry: The entry.

    Raises:
        EntryDamaged: It has something else.
    """
    try:
        return decoded(kind, entry)
    except FormUnknown:
        body = json.dumps(_pruned(form, json.loads(entry.value))).encode()
        return decoded(kind, replace(entry, value=body))


def _pruned(form: inspect.Type, value: Any) -> Any:
    """Return plain values without the fields and words that this version does not know."""
    if isinstance(form, inspect.UnionType):
        for one in form.types:
            value = _pruned(one, value)
    elif isinstance(form, inspect.VarTupleType) and isinstance(value, list):
        return [_pruned(form.item_type, one) for one in value]
    elif isinstance(form, inspect.StructType) and isinstance(value, dict):
        fields = ((field.encode_name, field.type) for field in form.fields)
        return {
            name: _pruned(its, value[name])
            for name, its in fields
            if name in value and not _is_new_word(its, value[name])
        }
    return value


def _is_new_word(form: inspect.Type, value: Any) -> bool:
    return isinstance(form, inspect.LiteralType) and value not in form.values
