from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from jobx import questions
from jobx.actors.bridge.bridge import Bridge
from jobx.actors.bridge.codec import Answer, Ask
from jobx.actors.bridge.ends import LocalEnd
from jobx.actors.bridge.envelope import Seal
from jobx.actors.bridge.transport import Lane
from jobx.actors.cluster import asking
from jobx.actors.cluster.asking import Asking
from jobx.actors.runtime.scheduler import LoopScheduler
from jobx.actors.runtime.system import LoopSystemBase
from jobx.errors import InternalError, JobxError, NotFound, Overloaded, Unavailable
from jobx.questions import GetRequest, Question
from jobx.views import RequestView
from tests.support.memory_transport import MemoryNetwork, MemoryTransport
from tests.support.waiting import eventually_soon

QUESTION = GetRequest(workflow="w", request_id="r")
VIEW = RequestView(
    request_id="r",
    workflow_name="w",
    job_name="j",
    state="running",
    is_blocking=False,
    accepted_at=1.0,
)
LONG_S = 60.0


class Node:
    """A node that answers with what is in ``answers``: a view, an error, or what is awaited."""

    def __init__(self, scheduler: LoopScheduler, network: MemoryNetwork, name: str) -> None:
        self.peer = {"a": "b", "b": "a"}[name]
        self.heard: list[Question[Any]] = []
        self.answer: Any = VIEW
        base = LoopSystemBase(
            scheduler, node_id=name, incarnation=1, capabilities={}, services=None
        )
        self.bridge = Bridge(
            base,
            MemoryTransport(network, name),
            Seal(b"k" * 32, "test"),
            LocalEnd(name, 1, "test", LONG_S),
            kinds={},
            choose=lambda _: None,
            heard=lambda lane, note: self.asking.heard(lane, note),  # type: ignore[arg-type]  # of a double
            changed=lambda lane: self.asking.changed(lane),
        )
        self.asking = Asking(self.bridge, self._answer)
        base.placement = self.bridge.families
        self.bridge.open("w")
        self.bridge.connect(Lane(self.peer, "w"))

    async def _answer(self, question: Question[Any]) -> Any:
        self.heard.append(question)
        if isinstance(self.answer, Exception):
            raise self.answer
        return await self.answer() if callable(self.answer) else self.answer

    async def ask(self, question: Question[Any] = QUESTION, timeout_s: float = LONG_S) -> Any:
        return await self.asking.ask(self.peer, question, timeout_s)


class Two:
    def __init__(self) -> None:
        scheduler = LoopScheduler(asyncio.get_running_loop())
        self.network = MemoryNetwork(scheduler)
        self.a, self.b = (Node(scheduler, self.network, name) for name in "ab")

    async def meet(self) -> None:
        ways = ((self.a.bridge, Lane("b", "w")), (self.b.bridge, Lane("a", "w")))
        await eventually_soon(lambda: all(bridge.is_up(lane) for bridge, lane in ways), 30.0)

    def close(self) -> None:
        for node in (self.a, self.b):
            node.asking.close()
            node.bridge.close()


def play(scene: Callable[[Two], Awaitable[None]]) -> None:
    async def run() -> None:
        two = Two()
        await two.meet()
        await scene(two)
        two.close()
        await asyncio.sleep(0)

    asyncio.run(run())


async def never() -> Any:
    await asyncio.get_running_loop().create_future()


def test_another_node_answers() -> None:
    async def scene(two: Two) -> None:
        assert await two.a.ask() == VIEW
        assert two.b.heard == [QUESTION]

    play(scene)


def test_a_question_about_a_workflow_takes_its_own_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    others = [f"other{number}" for number in range(7)]

    async def scene(two: Two) -> None:
        for node in (two.a, two.b):
            for workflow in others:
                node.bridge.open(workflow)
                node.bridge.connect(Lane(node.peer, workflow))
        lanes = [Lane("b", workflow) for workflow in others]
        await eventually_soon(lambda: all(map(two.a.bridge.is_up, lanes)), 30.0)
        taken: list[Lane] = []
        monkeypatch.setattr(two.a.bridge, "tell", lambda lane, _: taken.append(lane))
        asked = asyncio.ensure_future(two.a.ask())
        await eventually_soon(lambda: taken)
        assert taken == [Lane("b", "w")]
        asked.cancel()

    play(scene)


@pytest.mark.parametrize("error", [NotFound("request", "w/r"), Unavailable("later", 3.0)])
def test_an_error_of_another_node_is_raised(error: JobxError) -> None:
    async def scene(two: Two) -> None:
        two.b.answer = error
        with pytest.raises(type(error)) as raised:
            await two.a.ask()
        assert raised.value.args == error.args

    play(scene)


def test_a_fault_of_another_node_costs_the_answer_alone() -> None:
    async def scene(two: Two) -> None:
        two.b.answer = ValueError("boom")
        with pytest.raises(InternalError):
            await two.a.ask()
        two.b.answer = VIEW
        assert await two.a.ask() == VIEW

    play(scene)


def test_answers_find_their_questions() -> None:
    async def scene(two: Two) -> None:
        gates = [asyncio.Event() for _ in range(3)]
        waiting = iter(gates)

        async def answer() -> RequestView:
            await next(waiting).wait()
            return VIEW

        two.b.answer = answer
        asked = [asyncio.create_task(two.a.ask()) for _ in gates]
        for number in (2, 0, 1):
            gates[number].set()
            await eventually_soon(asked[number].done, 30.0)
        assert [task.result() for task in asked] == [VIEW] * 3

    play(scene)


def test_nobody_waits_longer_than_he_says() -> None:
    async def scene(two: Two) -> None:
        two.b.answer = never
        with pytest.raises(Unavailable, match=r"node b has not answered in 0\.05 s"):
            await two.a.ask(timeout_s=0.05)

    play(scene)


def test_a_link_that_breaks_ends_the_wait() -> None:
    async def scene(two: Two) -> None:
        two.b.answer = never
        asked = asyncio.create_task(two.a.ask())
        await eventually_soon(lambda: two.b.heard, 30.0)
        two.a.bridge.lose("b", 1, "it is lost")
        with pytest.raises(Unavailable, match="the link to node b broke"):
            await asked

    play(scene)


def test_a_node_without_a_link_is_not_asked() -> None:
    async def scene(two: Two) -> None:
        with pytest.raises(Unavailable, match="there is no link to node c"):
            await two.a.asking.ask("c", QUESTION, LONG_S)

    play(scene)


def test_a_full_link_is_not_called_a_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(two: Two) -> None:
        monkeypatch.setattr(two.a.bridge, "has_room", lambda _: False)
        with pytest.raises(Unavailable, match="the link to node b is full"):
            await two.a.ask()

    play(scene)


def test_no_more_are_asked_at_once_than_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MOST", 2)

    async def scene(two: Two) -> None:
        two.b.answer = never
        asked = [asyncio.create_task(two.a.ask()) for _ in range(2)]
        await eventually_soon(lambda: len(two.b.heard) == 2, 30.0)
        with pytest.raises(Overloaded, match="questions to other nodes"):
            await two.a.ask()
        for task in asked:
            task.cancel()
        await asyncio.wait(asked)
        with pytest.raises(Overloaded, match="questions of other nodes"):
            await two.a.ask()

    play(scene)


def test_an_answer_that_is_too_large_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MAX_BYTES", 150)

    async def scene(two: Two) -> None:
        with pytest.raises(Unavailable, match=r"its answer of \d+ bytes is too large"):
            await two.a.ask()

    play(scene)


def test_a_question_that_is_too_large_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MAX_BYTES", 10)

    async def scene(two: Two) -> None:
        with pytest.raises(Unavailable, match="is too large"):
            await two.a.ask()
        assert two.b.heard == []

    play(scene)


@pytest.mark.parametrize(
    "note", [Ask(b""), Ask(b"\x92\x01\x91\xa1?"), Answer(b""), Answer(b"\x91\x01")]
)
def test_what_is_no_question_and_no_answer_costs_nothing(note: Ask | Answer) -> None:
    async def scene(two: Two) -> None:
        two.b.bridge.tell(Lane("a", "w"), note)
        assert await two.b.ask() == VIEW
        assert await two.a.ask() == VIEW

    play(scene)


def test_an_answer_to_a_question_that_is_no_more_open_is_dropped() -> None:
    async def scene(two: Two) -> None:
        stale = questions.encode_answer(3, VIEW)[4:]
        two.b.bridge.tell(Lane("a", "w"), Answer(stale))
        assert await two.a.ask() == VIEW

    play(scene)
