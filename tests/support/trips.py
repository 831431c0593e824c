"""Trips of work frames in the process of the test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from jobx.handlers.execution.state import ExecutorState
from jobx.model import Failure
from tests.support import frames

SUM = frames.load("r", "reducer", "def handler(key, values): yield key, sum(values)")
ECHO = "yield Return()\nfor k, v in arguments: yield k, v"
WORDS = frames.load(
    "m", "mapper", "yield Return()\nfor _, t in arguments:\n for w in t: yield w, 1"
)


def mapper(source_code: str, **fields: Any) -> dict[str, Any]:
    return frames.load("m", "mapper", source_code, **fields)


def reducer(source_code: str) -> dict[str, Any]:
    return frames.load("r", "reducer", source_code)


def run(state: ExecutorState, folder: Path, *items: Any, **fields: Any) -> list[Any]:
    return frames.run(state, frames.map_(folder, items, **fields))


def output(segment: Any, folder: Path) -> list[Any]:
    return frames.pairs(segment[3], folder)


def failure_of(segments: Sequence[Any]) -> Failure:
    (segment,) = segments
    assert segment[0] == "failed", segment
    return msgspec.convert(segment[2], Failure)
