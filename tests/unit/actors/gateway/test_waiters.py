from __future__ import annotations

import asyncio

import pytest

from jobx import model
from jobx.actors.gateway.waiters import Waiters, within
from jobx.actors.messages import Described, Ended, Opened, Refused, RequestKey
from jobx.actors.runtime.address import Address
from jobx.errors import Overloaded

KEY = RequestKey("flow", "r1")
ELSE = RequestKey("flow", "r2")
SENDER = Address("n", 1, 1)
BUSY = Overloaded("busy")
REQUEST = model.Request(
    workflow_name="flow", request_id="r1", job_name="j", invocation_id="m0", accepted_at=1.0
)


def test_opened_ends_when_the_request_is_durable_and_ended_waits_on() -> None:
    async def scenario() -> None:
        waiters = Waiters()
        opened, ended = waiters.opened(KEY), waiters.ended(KEY)
        waiters.receive(Opened(REQUEST), SENDER)
        assert await opened is REQUEST
        assert not ended.done()
        waiters.receive(Ended(REQUEST), SENDER)
        assert await ended is REQUEST

    asyncio.run(scenario())


def test_a_request_that_ended_at_once_was_opened_too() -> None:
    async def scenario() -> None:
        waiters = Waiters()
        opened, ended = waiters.opened(KEY), waiters.ended(KEY)
        waiters.receive(Ended(REQUEST), SENDER)
        assert [await opened, await ended] == [REQUEST, REQUEST]

    asyncio.run(scenario())


def test_a_refusal_is_raised_for_everybody_who_waits() -> None:
    async def scenario() -> None:
        waiters = Waiters()
        waiting = [waiters.opened(KEY), waiters.ended(KEY), waiters.ended(KEY)]
        other = waiters.ended(ELSE)
        waiters.receive(Refused(KEY, BUSY), SENDER)
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert results == [BUSY] * 3
        assert not other.done()

    asyncio.run(scenario())


def test_all_who_wait_for_one_request_hear_of_its_end() -> None:
    async def scenario() -> None:
        waiters = Waiters()
        waiting = [waiters.ended(KEY) for _ in range(3)]
        waiters.receive(Ended(REQUEST), SENDER)
        assert await asyncio.gather(*waiting) == [REQUEST] * 3

    asyncio.run(scenario())


def test_who_gave_up_waiting_does_not_disturb_the_others() -> None:
    async def scenario() -> None:
        waiters = Waiters()
        gone, stays = waiters.ended(KEY), waiters.ended(KEY)
        gone.cancel()
        waiters.receive(Ended(REQUEST), SENDER)
        assert await stays is REQUEST
        refused = waiters.ended(ELSE)
        refused.cancel()
        waiters.receive(Refused(ELSE, BUSY), SENDER)

    asyncio.run(scenario())


def test_nothing_is_kept_of_who_gave_up_or_was_answered() -> None:
    async def scenario() -> None:
        waiters = Waiters()
        for future in (waiters.opened(KEY), waiters.ended(KEY)):
            future.cancel()
        waiters.ended(ELSE).cancel()
        waiters.ticket(KEY)[1].cancel()
        await asyncio.sleep(0)
        kept = [vars(waiters)[name] for name in ("_opened", "_ended", "_asked", "_tickets")]
        assert kept == [{}, {}, {}, {}]

    asyncio.run(scenario())


def test_each_question_gets_its_own_answer() -> None:
    async def scenario() -> None:
        waiters = Waiters()
        (first, one), (second, other) = waiters.ticket(KEY), waiters.ticket(KEY)
        waiters.receive(Described(second, None), SENDER)
        waiters.receive(Described(first, REQUEST), SENDER)
        assert [await one, await other] == [REQUEST, None]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("end", "answer"), [(Ended(REQUEST), REQUEST), (Refused(KEY, BUSY), None)], ids=repr
)
def test_question_is_answered_by_the_end_of_its_request(end: object, answer: object) -> None:
    async def scenario() -> None:
        waiters = Waiters()
        _, future = waiters.ticket(KEY)
        waiters.receive(end, SENDER)
        assert await future is answer

    asyncio.run(scenario())


def test_mail_that_nobody_waits_for_is_passed_over() -> None:
    async def scenario() -> None:
        waiters = Waiters()
        late = Described(7, REQUEST)
        for message in (Opened(REQUEST), Ended(REQUEST), Refused(KEY, BUSY), late, "what is this"):
            waiters.receive(message, SENDER)

    asyncio.run(scenario())


def test_an_answer_is_hurried_to_the_only_one_who_waits() -> None:
    async def scenario() -> None:
        hurried: list[bool] = []
        waiters = Waiters(lambda: hurried.append(True))
        waiting = [waiters.ended(KEY), waiters.ended(ELSE)]
        waiters.receive(Ended(REQUEST), SENDER)
        seen = [len(hurried)]
        waiting[1].cancel()
        await asyncio.sleep(0)
        waiters.receive(Ended(REQUEST), SENDER)
        seen.append(len(hurried))  # nobody waits
        waiting[0] = waiters.ended(KEY)
        waiters.receive(Ended(REQUEST), SENDER)
        assert [*seen, len(hurried)] == [0, 0, 1]

    asyncio.run(scenario())


def test_within_returns_what_comes_in_time_and_nothing_else() -> None:
    async def scenario() -> None:
        waiters = Waiters()
        ended = waiters.ended(KEY)
        assert await within(asyncio.shield(ended), 0.001) is None
        waiters.receive(Ended(REQUEST), SENDER)
        assert await within(ended, 5) is REQUEST
        refused = waiters.ended(KEY)
        waiters.receive(Refused(KEY, BUSY), SENDER)
        with pytest.raises(Overloaded):
            await within(refused, 5)

    asyncio.run(scenario())


def test_all_who_wait_for_one_request_leave_with_work_that_is_linear() -> None:
    """Each leaves by a few comparisons of futures, wherever in the row it waits."""
    compared = 0

    class Counted(asyncio.Future[None]):
        __hash__ = asyncio.Future.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return self is other

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        vars(loop)["create_future"] = lambda: Counted(loop=loop)
        waiters = Waiters()
        waiting = [waiters.ended(KEY) for _ in range(1000)]
        for future in reversed(waiting):
            future.cancel()
        await asyncio.sleep(0)
        waiters.receive(Ended(REQUEST), SENDER)

    asyncio.run(scenario())
    assert compared < 10_000
