"""Futures of calls whose answers come from elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any

from jobx.errors import JobxError


def fulfil(future: asyncio.Future[Any], answer: object) -> None:
    """Give a future what came of a call, an answer or an error, unless nobody waits any more."""
    if future.done():
        return
    if isinstance(answer, JobxError):
        future.set_exception(answer)
    else:
        future.set_result(answer)
