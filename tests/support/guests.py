"""Guests in the process of a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobx.handlers.execution.state import ExecutorState
from jobx.handlers.languages.guests import Guests
from tests.support import frames

PROGRAMS = ("/bin", "/usr/bin")
FUEL = 100_000_000_000
MEMORY_BYTES = 64 << 20


@contextmanager
def hosting(folder: Path, **changes: Any) -> Iterator[Guests]:
    """Give guests that are ended at the end of the ``with``."""
    settings = {"programs": PROGRAMS, "wasm_fuel": FUEL, "wasm_memory_bytes": MEMORY_BYTES}
    guests = Guests(str(folder), **{**settings, **changes})
    try:
        yield guests
    finally:
        guests.close()


def run(state: ExecutorState, *items: Any, **fields: Any) -> list[Any]:
    """Run a batch of mappers and return its segments."""
    return frames.run(state, frames.map_(Path(state.guests.folder), items, **fields))


def pairs(state: ExecutorState, segment: Any) -> list[Any]:
    """Return the pairs of mappers that returned data."""
    assert segment[0] == "returned", segment
    return frames.pairs(segment[3], Path(state.guests.folder))


def failed(segment: Any) -> dict[str, Any]:
    """Return the failure of an invocation."""
    assert segment[0] == "failed", segment
    failure: dict[str, Any] = segment[2]
    return failure


def children(state: ExecutorState, segment: Any) -> list[Any]:
    """Return the pairs that a mapper mapped."""
    assert segment[0] == "mapped", segment
    return frames.children(segment[3], Path(state.guests.folder))
