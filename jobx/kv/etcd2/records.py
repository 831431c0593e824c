"""Records: what the value of a key of v2 holds, besides the value of an entry.

A value that is text is its own record. All others begin with ``=``, a header in JSON and a line
end; values that are no text follow as base64.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final, Literal

import msgspec
from msgspec import Struct

from jobx.errors import EntryDamaged

_BEGIN: Final = "="
_DIGEST: Final = 16
#: How long a closed or removed key stays. By then nobody is there who would still write it.
STAYS_S: Final = 86_400


class RedoStep(Struct, frozen=True, array_like=True):
    """One write of a redo list.

    Attributes:
        kind: ``set`` a key, ``remove`` a key, or ``clear`` a prefix.
        key: The key, or the prefix.
        text: The record to set.
        kept: Keys with the prefix that stay.
    """

    kind: Literal["set", "remove", "clear"]
    key: str
    text: str = ""
    kept: tuple[str, ...] = ()


class Record(Struct, frozen=True):
    """What a key has.

    Attributes:
        value: The value of the entry; None if there is no entry, only the record.
        guard: The key of the guard without which this counts for nothing; empty: it counts.
        unit: The ``digest`` of that guard.
        redo: The writes of the unit that follow its guard, which this is.
        is_closed: Nobody may create this key.
        is_removed: The key was removed, and lists that are older than this leave it alone.
    """

    value: bytes | None = None
    guard: str = ""
    unit: str = ""
    redo: tuple[RedoStep, ...] = ()
    is_closed: bool = False
    is_removed: bool = False


class _Header(Struct, frozen=True, omit_defaults=True):
    """The header of a record; see ``Record``."""

    guard: str = ""
    unit: str = ""
    redo: tuple[RedoStep, ...] = ()
    is_closed: bool = False
    is_removed: bool = False
    is_absent: bool = False
    is_base64: bool = False


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(_Header)


def encode(record: Record) -> str:
    """Return a record as text."""
    body, is_base64 = _text(record.value or b"")
    is_absent = record.value is None
    header = _Header(
        record.guard,
        record.unit,
        record.redo,
        record.is_closed,
        record.is_removed,
        is_absent,
        is_base64,
    )
    if header == _Header() and not body.startswith(_BEGIN):
        return body
    return f"{_BEGIN}{_ENCODER.encode(header).decode()}\n{body}"


def decode(key: str, text: str) -> Record:
    """Return the record in a text.

    Raises:
        EntryDamaged: It has none.
    """
    if not text.startswith(_BEGIN):
        return Record(text.encode())
    line, _, body = text[len(_BEGIN) :].partition("\n")
    try:
        header = _DECODER.decode(line)
        value = base64.b64decode(body, b"-_", validate=True) if header.is_base64 else body.encode()
    except ValueError as error:
        raise EntryDamaged(key, f"JobX did not write it: {error}") from error
    kept = None if header.is_absent else value
    return Record(kept, header.guard, header.unit, header.redo, header.is_closed, header.is_removed)


def digest(guard: str, value: bytes | None) -> str:
    """Return what names a unit: its guard and the guard's value, the same in each try."""
    return hashlib.sha256(guard.encode() + b"\0" + (value or b"")).hexdigest()[:_DIGEST]


def _text(value: bytes) -> tuple[str, bool]:
    """Return a value as text, and whether that is base64."""
    try:
        return value.decode(), False
    except UnicodeDecodeError:
        return base64.urlsafe_b64encode(value).decode(), True


#: What is left in place of a removed key.
REMOVED: Final = encode(Record(is_removed=True))
