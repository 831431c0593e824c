"""Signatures of what is posted, by the scheme Standard Webhooks (https://www.standardwebhooks.com).

HMAC-SHA256 over an id, a time and the body. The time bounds how long a copy of a message can be
used; the id tells a repeat from a new one. The package ``standardwebhooks`` signs a body that is
one text; a result is read in pieces, so it is signed here, and that package checks it in tests.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Final

from jobx.errors import InvalidInput

DELIVERY_ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
#: How far the sender's clock and the receiver's may be apart.
TOLERANCE_S: Final = 300.0
_VERSION: Final = "v1,"
_IN_BASE64: Final = "whsec_"
#: Bounded: a number of thousands of digits is refused by ``int``.
_SECONDS: Final = re.compile(r"[0-9]{1,15}")


def headers(keys: str, delivery_id: str, now_at: float, body: Iterable[bytes]) -> dict[str, str]:
    """Return the headers that name and sign a body; without a key they only name it.

    Args:
        keys: Each of them signs, see ``parsed``.
        delivery_id: The same in every try.
        now_at: The wall clock, in seconds.
        body: Pieces of the body.
    """
    named = {DELIVERY_ID: delivery_id, TIMESTAMP: str(int(now_at))}
    if not keys:
        return named
    return {**named, SIGNATURE: " ".join(_signatures(keys, named, body))}


def is_valid(key: str, received: Mapping[str, str], now_at: float, body: bytes) -> bool:
    """Tell whether received headers sign a body, and not long ago.

    Args:
        key: What sender and receiver share; of several keys one is enough.
        received: The headers, their names in any case.
        now_at: The wall clock, in seconds.
        body: What was received.

    Raises:
        InvalidInput: It is no key.
    """
    named = {name.lower(): value for name, value in received.items()}
    timestamp = named.get(TIMESTAMP, "")
    if not (_SECONDS.fullmatch(timestamp) and named.get(DELIVERY_ID)):
        return False
    if abs(int(timestamp) - now_at) > TOLERANCE_S:
        return False
    signed = [one.encode() for one in named.get(SIGNATURE, "").split(" ")]
    expected = [one.encode() for one in _signatures(key, named, [body])]
    return any(hmac.compare_digest(ours, one) for ours in expected for one in signed)


def parsed(keys: str) -> list[bytes]:
    """Return the keys that blanks separate: ``whsec_`` and base64, or the text of the key itself.

    Raises:
        InvalidInput: One is not base64.
    """
    return [_parsed(key) for key in keys.split()]


def _parsed(key: str) -> bytes:
    if not key.startswith(_IN_BASE64):
        return key.encode()
    try:
        text = key.removeprefix(_IN_BASE64).rstrip("=")
        found = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise InvalidInput("key", f"{_IN_BASE64}…", f"holds no base64: {error}") from error
    if not found:
        raise InvalidInput("key", _IN_BASE64, "needs base64 after it")
    return found


def _signatures(keys: str, named: Mapping[str, str], body: Iterable[bytes]) -> list[str]:
    head = f"{named[DELIVERY_ID]}.{named[TIMESTAMP]}.".encode()
    digests = [hmac.new(key, head, hashlib.sha256) for key in parsed(keys)]
    for piece in body:
        for digest in digests:
            digest.update(piece)
    return [_VERSION + base64.b64encode(digest.digest()).decode() for digest in digests]
