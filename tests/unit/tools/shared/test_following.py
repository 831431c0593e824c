from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from jobx.errors import JobxError, NodeLost, NodeUnreachable, NotFound, StoreUnavailable
from jobx.handlers.pairs import root_input
from jobx.questions import SubmitJob, WatchRequest
from jobx.tools.shared import following
from jobx.tools.shared.following import follow
from jobx.views import RequestView, SummaryView, WatchView
from tests.support.fake_node import FakeNode

REQUEST = RequestView(
    request_id="r1", workflow_name="w", job_name="j", state="running", is_blocking=False,
    accepted_at=1.0,
)  # fmt: skip


class Node:
    """A node that answers as it is told, one answer a poll; in place of a call of a command."""

    def __init__(self, *answers: WatchView | JobxError, store: Any = None) -> None:
        self.answers = list(answers)
        self.asked: list[int] = []
        self._store = store

    def gateway(self) -> Any:
        if self.answers and isinstance(self.answers[0], NodeUnreachable):
            raise self.answers.pop(0)
        return self

    def call(self, asked: WatchRequest, timeout_s: float) -> WatchView:
        assert timeout_s > asked.wait_s > 0
        self.asked.append(asked.after)
        answer = self.answers.pop(0)
        if isinstance(answer, JobxError):
            raise answer
        return answer

    @contextmanager
    def store(self) -> Iterator[Any]:
        yield self._store

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_: object) -> None:
        """Close nothing."""


def at(number: int, *, is_end: bool = False) -> WatchView:
    return WatchView(
        as_of=number, summary=SummaryView(request=REQUEST, as_of=number), is_end=is_end
    )


def followed(node: Any, request_id: str = "r1", workflow: str = "w") -> list[int]:
    return [view.as_of for view in follow(node, workflow, request_id)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "AGAIN_S", 0.0)


async def submitted(node: FakeNode, job: str) -> None:
    asked = SubmitJob(
        workflow="texts", request_id="r1", job=job, arguments=root_input.pack({"text": "a"})
    )
    await node.call(asked)


def store_of(job: str) -> Any:
    """Return a store in which the request has ended (count) or runs (slow)."""
    fake = FakeNode()
    asyncio.run(submitted(fake, job))
    return fake.store


def test_what_came_is_followed_up_to_the_end() -> None:
    node = Node(at(0), at(3), WatchView(as_of=3), at(5, is_end=True))
    assert followed(node) == [0, 3, 5]
    assert node.asked == [-1, 0, 3, 3]


def test_it_goes_on_where_it_was_when_the_node_is_back(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answers = at(3), NodeLost("gone"), NodeUnreachable("none"), at(5, is_end=True)
    node = Node(*answers, store=store_of("slow"))
    assert followed(node, workflow="texts") == [3, 5]
    assert node.asked == [-1, 3, 3]
    assert capsys.readouterr().err == "jobx: gone; looking for it again\n"


def test_a_node_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "AWAY_S", -1.0)
    with pytest.raises(NodeLost):
        followed(Node(at(3), NodeLost("gone"), store=store_of("slow")), workflow="texts")


def test_a_node_that_was_back_for_a_while_may_stay_away_as_long_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SimpleNamespace(monotonic=itertools.count(step=40.0).__next__, sleep=lambda _: None)
    monkeypatch.setattr(following, "time", clock)
    lost, nothing = NodeLost("gone"), WatchView(as_of=3)
    node = Node(at(3), lost, nothing, lost, lost, at(5, is_end=True), store=store_of("slow"))
    assert followed(node, workflow="texts") == [3, 5]


def test_an_error_of_the_request_is_told_at_once() -> None:
    with pytest.raises(NotFound):
        followed(Node(at(3), NotFound("request", "w/r1")))


@pytest.mark.parametrize("job", ["count", "slow"])
def test_without_a_node_an_end_is_read_from_the_store(job: str) -> None:
    node = Node(NodeUnreachable("none"), store=store_of(job))
    if job == "count":
        assert followed(node, workflow="texts") == [2]
    else:
        with pytest.raises(NodeUnreachable):
            followed(node, workflow="texts")


def test_the_end_is_read_from_the_store_of_a_node_that_ended_with_its_request() -> None:
    node = Node(at(0), NodeLost("gone"), store=store_of("count"))
    assert followed(node, workflow="texts") == [0, 2]


def test_a_store_that_is_away_with_its_node_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise StoreUnavailable("nobody answers")

    monkeypatch.setattr(following.request_entity, "get", refuse)
    assert followed(Node(at(3), NodeLost("gone"), at(5, is_end=True))) == [3, 5]
