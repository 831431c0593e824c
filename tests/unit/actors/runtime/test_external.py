from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import uvloop
from thespian.actors import Actor, ActorAddress, ActorSystem, PoisonMessage, WakeupMessage

from jobx.actors.runtime.limits import EngineLimits
from jobx.actors.runtime.scheduler import LoopScheduler
from jobx.actors.runtime.system import LoopSystemBase
from jobx.errors import DeadlineExceeded, InternalError
from tests.support.waiting import eventually
from tests.unit.actors.runtime.stage import Note


class Echo(Actor):
    """Sends messages back; a number waits that long first; ``boom`` fails."""

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:  # noqa: N802 - Thespian's
        if isinstance(message, float):
            self.wakeupAfter(message, sender)
        elif isinstance(message, WakeupMessage):
            self.send(message.payload, Note("waited"))
        elif message == "boom":
            raise ValueError("boom")
        elif isinstance(message, Note | int):
            self.send(sender, message)


class Running:
    """A system on a loop in a thread of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.base = LoopSystemBase(
            LoopScheduler(loop),
            node_id="n1",
            incarnation=1,
            capabilities={},
            services=None,
            limits=EngineLimits(call_s=10.0),
        )
        self.system = ActorSystem(systemBase=self.base, transientUnique=True)
        self._thread = threading.Thread(target=loop.run_forever)
        self._thread.start()

    def on_loop(self, call: Callable[[], Any]) -> Any:
        async def run() -> Any:
            return call()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(60)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(60)
        self.loop.close()


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    running = Running(request.param())
    yield running
    running.close()


def test_ask_returns_the_answer(running: Running) -> None:
    echo = running.system.createActor(Echo)
    assert running.system.ask(echo, Note("hello"), 60.0) == Note("hello")


def test_tell_and_listen_are_the_halves_of_ask(running: Running) -> None:
    echo = running.system.createActor(Echo)
    running.system.tell(echo, Note("hello"))
    assert running.system.listen(timedelta(seconds=10)) == Note("hello")


def test_ask_returns_poison_when_the_actor_fails(running: Running) -> None:
    echo = running.system.createActor(Echo)
    assert running.system.ask(echo, "boom", 60.0) == PoisonMessage("boom")


def test_ask_returns_none_when_nothing_comes_in_time(running: Running) -> None:
    echo = running.system.createActor(Echo)
    assert running.system.ask(echo, object(), 0.01) is None


def test_a_wakeup_rings_on_a_real_loop(running: Running) -> None:
    echo = running.system.createActor(Echo)
    assert running.system.ask(echo, 0.001, 60.0) == Note("waited")


def test_each_private_context_has_its_own_inbox(running: Running) -> None:
    echo = running.system.createActor(Echo)

    def talk(number: int) -> list[int]:
        with running.system.private() as context:
            return [context.ask(echo, number * 100 + turn, 60.0) for turn in range(20)]

    with ThreadPoolExecutor(4) as pool:
        heard = list(pool.map(talk, range(4)))
    assert heard == [[number * 100 + turn for turn in range(20)] for number in range(4)]


def test_a_context_that_was_left_gets_no_mail(running: Running) -> None:
    context = running.base.external_clone()
    context.exit_context()
    running.system.tell(context.address, Note("late"))
    eventually(lambda: running.base.counters().dead_letters == 1)


def test_a_private_context_creates_actors(running: Running) -> None:
    with running.system.private() as context:
        echo = context.createActor(Echo)
        assert context.ask(echo, 1, 60.0) == 1


def test_an_inbox_that_is_full_sends_the_rest_to_dead_letters(running: Running) -> None:
    context = running.base.external_clone()
    context._inbox.maxsize = 1
    echo = running.system.createActor(Echo)
    context.tell(echo, 1)
    context.tell(echo, 2)
    eventually(lambda: running.base.counters().dead_letters == 1)
    assert context.listen(10.0) == 1


@pytest.mark.parametrize("call", ["ask", "listen"])
def test_waiting_on_the_loop_itself_is_refused(running: Running, call: str) -> None:
    arguments = (running.system.createActor(Echo), 1) if call == "ask" else ()
    with pytest.raises(InternalError, match="would block"):
        running.on_loop(lambda: getattr(running.system, call)(*arguments))


def test_tell_on_the_loop_is_answered_to_the_threads_inbox(running: Running) -> None:
    echo = running.system.createActor(Echo)
    running.on_loop(lambda: running.system.tell(echo, 1))
    assert running.system.listen(10.0) == 1


def test_an_error_of_a_creation_is_raised_in_the_thread_that_asked(running: Running) -> None:
    class BornDead(Actor):
        def __init__(self) -> None:
            raise ValueError("stillborn")

    with pytest.raises(ValueError, match="stillborn"):
        running.system.createActor(BornDead)


def test_shutdown_from_a_thread_returns_when_all_actors_are_gone(running: Running) -> None:
    running.system.createActor(Echo)
    running.system.shutdown()
    assert running.base.tree() == []


def test_a_call_into_a_loop_that_does_not_run_ends_in_time() -> None:
    loop = asyncio.new_event_loop()
    base = LoopSystemBase(
        LoopScheduler(loop),
        node_id="n1",
        incarnation=1,
        capabilities={},
        services=None,
        limits=EngineLimits(call_s=0.01),
    )
    with pytest.raises(DeadlineExceeded):
        base.newPrimaryActor(Echo)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert base.tree() == []
