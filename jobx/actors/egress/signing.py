"""Signatures of what is posted: HMAC-SHA256 over a time, a delivery id and the body.

The time bounds how long a copy of a message can be used, the id tells a repeat from a new one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Final

DELIVERY_ID: Final = "X-DELIVERY-ID"
TIMESTAMP: Final = "X-TIMESTAMP"
SIGNATURE: Final = "X-SIGNATURE"
_SCHEME: Final = "sha256="
#: How far the sender's clock and the receiver's may be apart.
TOLERANCE_S: Final = 300.0
#: Bounded: a number of thousands of digits is refused by ``int``.
_SECONDS: Final = re.compile(r"[0-9]{1,15}")


def headers(key: str, delivery_id: str, now_at: float, body: Iterable[bytes]) -> dict[str, str]:
    """Return the headers that name and sign a body; without a key they only name it."""
    named = {DELIVERY_ID: delivery_id, TIMESTAMP: str(int(now_at))}
    if not key:
        return named
    return {**named, SIGNATURE: _SCHEME + _digest(key, named, body)}


def is_valid(key: str, received: Mapping[str, str], now_at: float, body: bytes) -> bool:
    """Tell whether received headers sign a body, and not long ago.

    Args:
        key: The key that sender and receiver share.
        received: Headers; names are looked up as they are spelt here.
        now_at: The wall clock.
        body: What was received.
    """
    timestamp = received.get(TIMESTAMP, "")
    if not (_SECONDS.fullmatch(timestamp) and DELIVERY_ID in received):
        return False
    if abs(int(timestamp) - now_at) > TOLERANCE_S:
        return False
    expected = _SCHEME + _digest(key, received, [body])
    return hmac.compare_digest(expected.encode(), received.get(SIGNATURE, "").encode())


def _digest(key: str, named: Mapping[str, str], body: Iterable[bytes]) -> str:
    head = f"{named[TIMESTAMP]}.{named[DELIVERY_ID]}."
    digest = hmac.new(key.encode(), head.encode(), hashlib.sha256)
    for piece in body:
        digest.update(piece)
    return digest.hexdigest()
