"""Waiting for what happens elsewhere, with a bound."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(predicate: Callable[[], T], timeout_s: float = 60.0) -> T:
    """Return the first true value of ``predicate``; fail when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{predicate} was not true within {timeout_s:g} s")
        time.sleep(0.02)
    return value


def after(seconds: float) -> Callable[[], bool]:
    """Return what tells whether so much time has passed since now."""
    deadline = time.monotonic() + seconds
    return lambda: time.monotonic() >= deadline


async def eventually_soon(predicate: Callable[[], T], timeout_s: float = 60.0) -> T:
    """Wait as ``eventually`` does, while the loop goes on."""
    deadline = time.monotonic() + timeout_s
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{predicate} was not true within {timeout_s:g} s")
        await asyncio.sleep(0.01)
    return value
