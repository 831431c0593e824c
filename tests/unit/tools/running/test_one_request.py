from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from jobx.questions import Question, SubmitJob
from jobx.tools.running import one_request


def test_an_interrupted_run_cancels_after_its_request_has_been_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    async def interrupted() -> None:
        may_go_on = asyncio.Event()

        async def ask(question: Question[Any]) -> None:
            asked.append(question.verb)
            if isinstance(question, SubmitJob):
                await may_go_on.wait()

        @asynccontextmanager
        async def node(_: object) -> AsyncIterator[Any]:
            yield ask

        monkeypatch.setattr(one_request, "asked_node", node)
        submission = SubmitJob(workflow="w", request_id="r", job="j")
        work = asyncio.create_task(one_request.run_request(cast("Any", None), submission))
        await _turns()
        work.cancel()
        await _turns()
        assert asked == ["submit"]
        may_go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(interrupted())
    assert asked == ["submit", "request.cancel"]


async def _turns() -> None:
    """Let everything on the loop do what it can do now."""
    for _ in range(20):
        await asyncio.sleep(0)
