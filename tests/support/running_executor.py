"""An executor of a real fork server, what is run in it, and what it answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import frames
from tests.support.executors import Executor, ExecutorHost

GOOD = frames.load("good", "mapper", "yield Return()\nfor k, v in arguments: yield k, v")
SUM = frames.load("r", "reducer", "def handler(key, values): yield key, sum(values)")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ExecutorHost]:
    with ExecutorHost(tmp_path / "tmp", memory_bytes=600 << 20) as started:
        yield started


@pytest.fixture
def executor(node: ExecutorHost) -> Executor:
    made = node.spawn()
    made.frames.send(GOOD)
    made.frames.send(SUM)
    return made


def run(executor: Executor, folder: Path, source_code: str, **fields: Any) -> dict[str, Any]:
    """Run one mapper and return the result frame."""
    load = frames.load("m", "mapper", source_code)
    return executor.ask(load, frames.map_(folder, [["k", 5]], reducer=None, **fields))


def works(executor: Executor, folder: Path) -> bool:
    answer = executor.ask(frames.map_(folder, [["k", 5]], mapper="good"))
    return frames.pairs(answer["segments"][0][3], folder) == [("k", 5)]


def failure(answer: dict[str, Any]) -> dict[str, Any]:
    assert answer["segments"][0][0] == "failed", answer
    found: dict[str, Any] = answer["segments"][0][2]
    return found


def output(answer: dict[str, Any]) -> str:
    notes = answer["segments"][0][-1]
    return str(notes[1]["output"])


def works_anew(node: ExecutorHost, folder: Path) -> bool:
    executor = node.spawn()
    executor.frames.send(GOOD)
    executor.frames.send(SUM)
    return works(executor, folder)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
