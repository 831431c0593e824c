"""What schemathesis does not know by itself: how to write msgpack."""

from __future__ import annotations

from typing import Any

import schemathesis

from jobx import values


@schemathesis.serializer("application/msgpack")
def pack(_: Any, value: Any) -> bytes:
    """Write a body."""
    return values.pack(value)
