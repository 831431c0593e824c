from __future__ import annotations

import asyncio

import pytest

from jobx.actors import readiness
from jobx.actors.readiness import Check, Readiness


def trouble(*checks: Check, answers: bool = True) -> str | None:
    """Ask a node whose supervisor answers, or not."""

    async def ask() -> str | None:
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if answers:
            answer.set_result(True)
        return await Readiness(checks, lambda: answer).trouble()

    return asyncio.run(ask())


def test_node_whose_parts_are_well_is_ready() -> None:
    assert trouble(lambda: None, lambda: None) is None


def test_first_trouble_is_told() -> None:
    assert trouble(lambda: None, lambda: "ill", lambda: "worse") == "ill"


def test_supervisor_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "PROBE_S", 0.01)
    told = trouble(lambda: "ill", answers=False)
    assert told is not None and "supervisor" in told
