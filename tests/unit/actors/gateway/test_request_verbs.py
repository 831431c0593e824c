from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jobx import values
from jobx.actors.gateway import request_verbs
from jobx.errors import NotFound, OutcomeUnknown, StoreUnavailable
from jobx.questions import (
    AwaitRequest,
    CancelRequest,
    GetRequest,
    GetResult,
    Question,
    SubmitJob,
)
from tests.support import texts
from tests.support.fake_node import Desk, FakeNode

NAMES = {"workflow": "w", "request_id": "01arz3ndektsv4rrffq69g5fav"}
ASKED = [
    GetRequest(**NAMES),
    GetResult(**NAMES),
    AwaitRequest(**NAMES),
    CancelRequest(**NAMES, reason="enough"),
]


class _SilentDesk(Desk):
    """Has a request that is not durable yet, so nothing is said of it."""

    def deliver(self, _: object, message: object) -> None:
        pass


class _SilentNode(FakeNode):
    def _desk(self, *around: Any) -> Desk:
        return _SilentDesk(self.store, *around)


@pytest.mark.parametrize("question", ASKED, ids=lambda asked: asked.verb)
def test_what_may_still_be_written_is_never_told_as_missing(
    question: Question[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_verbs, "ANSWER_S", 0.01)
    with pytest.raises(OutcomeUnknown, match=NAMES["request_id"]):
        asyncio.run(_SilentNode().call(question))


@pytest.mark.parametrize("question", ASKED, ids=lambda asked: asked.verb)
def test_what_nobody_has_is_missing(question: Question[Any]) -> None:
    with pytest.raises(NotFound):
        asyncio.run(FakeNode().call(question))


def test_a_key_whose_request_may_still_be_written_names_no_other_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(request_verbs, "ANSWER_S", 0.05)
    first, second = (
        SubmitJob(
            workflow=texts.WORKFLOW,
            job="pairs",
            request_id=request_id,
            idempotency_key="k",
            is_blocking=False,
            wait_s=0.0,
            arguments=values.pack([]),
        )
        for request_id in (NAMES["request_id"], "01arz3ndektsv4rrffq69g5fb0")
    )

    async def ask() -> list[object]:
        node = _SilentNode()
        return await asyncio.gather(node.call(first), node.call(second), return_exceptions=True)

    unknown, refused = asyncio.run(ask())
    assert isinstance(unknown, OutcomeUnknown)
    assert isinstance(refused, StoreUnavailable)
    assert first.request_id in str(unknown) and first.request_id in str(refused)
