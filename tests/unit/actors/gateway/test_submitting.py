from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jobx import values
from jobx.actors.gateway import finding
from jobx.actors.messages import Refused, RequestKey, Submit
from jobx.errors import Conflict, NotFound, OutcomeUnknown, StoreUnavailable
from jobx.handlers.pairs import root_input
from jobx.kv import keys
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import kept_requests, removal
from jobx.questions import (
    AwaitRequest,
    CancelRequest,
    DeliverResult,
    GetGraph,
    GetInvocation,
    GetRequest,
    GetResult,
    GetTrace,
    KeptArguments,
    Question,
    SubmitJob,
)
from tests.support import authoring, texts
from tests.support.fake_node import Desk, FakeNode

NAMES = {"workflow": "w", "request_id": "01arz3ndektsv4rrffq69g5fav"}
IDS = (NAMES["request_id"], "01arz3ndektsv4rrffq69g5fb0")
PAIRS = values.pack({"count": 1})
ASKED = [
    GetRequest(**NAMES),
    GetResult(**NAMES),
    AwaitRequest(**NAMES),
    CancelRequest(**NAMES, reason="enough"),
    DeliverResult(**NAMES),
    GetTrace(**NAMES, limit=10),
    GetInvocation(**NAMES, invocation_id="m0"),
    GetGraph(**NAMES, limit=10),
]


class _SilentDesk(Desk):
    """Has a request that is not durable yet, so nothing is said of it."""

    def __init__(self, *around: Any) -> None:
        super().__init__(*around)
        self.told: list[object] = []

    def deliver(self, _: object, message: object) -> None:
        self.told.append(message)


class _SilentNode(FakeNode):
    desk: _SilentDesk

    def _desk(self, *around: Any) -> _SilentDesk:
        return _SilentDesk(self.store, *around)


@pytest.mark.parametrize("question", ASKED, ids=lambda asked: asked.verb)
def test_what_may_still_be_written_is_never_told_as_missing(
    question: Question[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "ANSWER_S", 0.01)
    with pytest.raises(OutcomeUnknown, match=NAMES["request_id"]):
        asyncio.run(_SilentNode().call(question))


@pytest.mark.parametrize("question", ASKED, ids=lambda asked: asked.verb)
def test_what_nobody_has_is_missing(question: Question[Any]) -> None:
    with pytest.raises(NotFound):
        asyncio.run(FakeNode().call(question))


class _ClosingDesk(Desk):
    """Has a store in which a reader has decided that no first event comes any more."""

    def _start(self, order: Submit) -> None:
        key = RequestKey(order.request.workflow_name, order.request.request_id)
        self._tell(Refused(key, Conflict(keys.event(*key, 0))))


class _ClosingNode(FakeNode):
    def _desk(self, *around: Any) -> _ClosingDesk:
        return _ClosingDesk(self.store, *around)


@pytest.mark.parametrize("client_key", ["k", None])
def test_a_request_that_the_store_did_not_let_begin_is_not_told_as_missing(
    client_key: str | None,
) -> None:
    asked = _submit(IDS[0], idempotency_key=client_key)
    with pytest.raises(StoreUnavailable, match=IDS[0]):
        asyncio.run(_ClosingNode().call(asked))


def _submit(request_id: str, workflow: str = texts.WORKFLOW, **fields: Any) -> SubmitJob:
    return SubmitJob(
        **{
            "workflow": workflow,
            "job": "pairs",
            "request_id": request_id,
            "idempotency_key": "k",
            "is_blocking": False,
            "wait_s": 0.0,
            "arguments": values.pack([]),
            **fields,
        }
    )


def test_a_key_whose_request_may_still_be_written_names_no_other_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(finding, "ANSWER_S", 0.05)
    first, second = (_submit(request_id) for request_id in IDS)

    async def ask() -> list[object]:
        node = _SilentNode()
        return await asyncio.gather(node.call(first), node.call(second), return_exceptions=True)

    unknown, refused = asyncio.run(ask())
    assert isinstance(unknown, OutcomeUnknown)
    assert isinstance(refused, StoreUnavailable)
    assert first.request_id in str(unknown) and first.request_id in str(refused)


def test_one_key_starts_one_request_though_its_job_had_to_be_looked_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(finding, "ANSWER_S", 0.05)

    async def ask() -> list[object]:
        node = _SilentNode()
        authoring.write(node.store, texts.HANDLERS, texts.STEPS, "new")
        asked = [node.call(_submit(request_id, "new")) for request_id in IDS]
        await asyncio.gather(*asked, return_exceptions=True)
        return [message for message in node.desk.told if isinstance(message, Submit)]

    assert len(asyncio.run(ask())) == 1


def test_arguments_that_cannot_be_looked_after_do_not_hide_why_nothing_was_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(finding, "ANSWER_S", 0.01)
    asked = _submit(IDS[0], job="unheard-of", arguments=KeptArguments(9, 9))
    with pytest.raises(NotFound, match="unheard-of"):
        asyncio.run(_SilentNode().call(asked))


@pytest.mark.parametrize("search", [(), ("count",)])
def test_large_arguments_with_an_outline_are_not_read(
    monkeypatch: pytest.MonkeyPatch, search: tuple[str, ...]
) -> None:
    monkeypatch.setattr(finding, "ANSWER_S", 0.01)
    outline = root_input.outline({"count": 3, "value": "x" * 100_000})
    kept = KeptArguments(1 << 20, 1, outline)  # nobody can read their blob

    async def ask() -> list[object]:
        node = _SilentNode()
        with pytest.raises(OutcomeUnknown):
            await node.call(_submit(IDS[0], arguments=kept, idempotency_key=None))
        return node.desk.told

    assert any(isinstance(message, Submit) for message in asyncio.run(ask()))


@pytest.mark.parametrize("moment", range(12))
def test_a_key_whose_request_is_hidden_meanwhile_names_it_or_is_free_or_is_asked_for_later(
    moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (_submit(request_id, arguments=PAIRS) for request_id in IDS)

    async def ask() -> tuple[str, bool]:
        node = FakeNode()
        await node.call(first)
        hide_before(node.store, moment, monkeypatch)
        outcome = await node.call(second)
        return outcome.request.request_id, outcome.replayed

    try:
        assert asyncio.run(ask()) in {(IDS[0], True), (IDS[1], False)}
    except StoreUnavailable as error:
        assert IDS[0] in str(error)


def hide_before(store: MemoryStore, moment: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide all requests before a read of the store."""
    left = [moment]

    def before(call: Any) -> Any:
        def read(*arguments: Any, **how: Any) -> Any:
            left[0] -= 1
            if left[0] == -1:
                for one in kept_requests.expired(store, 1e12, 9):
                    store.commit(removal.hide_writes(one))
            return call(*arguments, **how)

        return read

    for name in ("get", "range"):
        monkeypatch.setattr(store, name, before(getattr(store, name)))
