"""Payloads that many tests need."""

from __future__ import annotations

from typing import Final

from jobx.payload import Payload

EMPTY: Final = Payload(count=0, size_bytes=0, inline=b"")
