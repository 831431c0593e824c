"""Questions to other nodes, and theirs to this one, over the bridge.

A question (``jobx/questions``) and its answer are each one item of a link: of the lane of the
workflow that is asked about, if that is up, else of any lane to the node. Nobody waits longer than
he says, and a link that breaks answers all that were open on it: so who asks knows that no answer
will come, but not whether the question arrived. Ask only what may be asked twice.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from jobx import frames, questions
from jobx.actors.bridge.bridge import Bridge
from jobx.actors.bridge.codec import Answer, Ask
from jobx.actors.bridge.transport import Lane
from jobx.errors import FrameError, InternalError, JobxError, Overloaded, Unavailable
from jobx.questions import Question
from jobx.system.futures import fulfil
from jobx.views import View

A = TypeVar("A", bound=View)
#: What answers a question of another node.
Answering: TypeAlias = Callable[[Question[Any]], Awaitable[View]]

#: Questions that are open at once, those to others and those of others.
MOST: Final = 256
#: Largest question and answer: a page of 1,000 actors with long names is half of that.
MAX_BYTES: Final = 1 << 20
#: How long this node works on a question of another one at most, beyond the wait that it asks for.
WORK_S: Final = 15.0

_LOG: Final = logging.getLogger(__name__)


class Asking:
    """Asks and answers. On the loop only.

    Args:
        bridge: What leads to the other nodes.
        answer: Answers what they ask; raises JobxError.
    """

    def __init__(self, bridge: Bridge, answer: Answering) -> None:
        self._bridge = bridge
        self._answer = answer
        self._lanes: set[Lane] = set()
        #: From where no process before this one has counted, whose answers may still come.
        self._numbers = itertools.count(secrets.randbits(48))
        self._open: dict[int, tuple[Lane, asyncio.Future[msgspec.Raw]]] = {}
        self._working: set[asyncio.Task[None]] = set()

    async def ask(self, peer: str, question: Question[A], timeout_s: float) -> A:
        """Return the answer of another node.

        Raises:
            Unavailable: It did not answer, or is not reached; it may have been asked.
            JobxError: Its own error.
        """
        lanes = [lane for lane in self._lanes if lane.peer == peer]
        # Others may be of a workflow that is deleted now, and break.
        lanes.sort(key=lambda lane: lane.workflow != getattr(question, "workflow", None))
        lane = next(filter(self._bridge.has_room, lanes), None)
        if lane is None:
            trouble = "the link to node {} is full" if lanes else "there is no link to node {}"
            raise Unavailable(trouble.format(peer))
        if len(self._open) >= MOST:
            raise Overloaded(f"{MOST} questions to other nodes are open")
        number = next(self._numbers)
        body = frames.without_head(questions.encode_call(number, question))
        if len(body) > MAX_BYTES:
            raise Unavailable(f"{question.verb} of {len(body)} bytes is too large for another node")
        answer: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._open[number] = lane, answer
        try:
            self._bridge.tell(lane, Ask(body))
            async with asyncio.timeout(timeout_s):
                return questions.decode_answer(question, await answer)
        except TimeoutError as error:
            raise Unavailable(f"node {peer} has not answered in {timeout_s:g} s") from error
        finally:
            del self._open[number]

    def heard(self, lane: Lane, note: Ask | Answer) -> None:
        """Take a question or an answer of another node."""
        if isinstance(note, Answer):
            self._take(lane, note.body)
            return
        if len(self._working) >= MOST:
            refusal = Overloaded(f"{MOST} questions of other nodes are open")
            self._send(lane, questions.encode_error(questions.number_of(note.body) or 0, refusal))
            return
        work = asyncio.get_running_loop().create_task(self._work(lane, note.body))
        self._working.add(work)
        work.add_done_callback(self._working.discard)

    def changed(self, lane: Lane) -> None:
        """Take note that a link is up, or broke."""
        self._lanes.discard(lane)
        for at, answer in list(self._open.values()):
            if at == lane:
                _fail(answer, Unavailable(f"the link to node {lane.peer} broke"))
        if self._bridge.is_up(lane):
            self._lanes.add(lane)

    def close(self) -> None:
        """Ask and answer nothing more."""
        self._lanes.clear()
        for work in self._working:
            work.cancel()
        for _, answer in self._open.values():
            _fail(answer, Unavailable("the node is stopping"))

    def _take(self, lane: Lane, body: bytes) -> None:
        try:
            number, answer = questions.decode_reply(body)
        except FrameError as error:
            _LOG.warning("an answer of node %s is dropped: %s", lane.peer, error)
            return
        at, future = self._open.get(number, (None, None))
        if future is not None and at is not None and at.peer == lane.peer:
            fulfil(future, answer)

    async def _work(self, lane: Lane, body: bytes) -> None:
        number = questions.number_of(body)
        if number is None:
            _LOG.warning("a question of node %s is dropped: it has no number", lane.peer)
            return
        try:
            _, question = questions.decode_call(body)
            async with asyncio.timeout(WORK_S + questions.wait_of(question)):
                answer = questions.encode_answer(number, await self._answer(question))
            if len(answer) > MAX_BYTES:
                raise Unavailable(f"its answer of {len(answer)} bytes is too large")
        except JobxError as error:
            answer = questions.encode_error(number, error)
        except TimeoutError:
            return  # nobody waits so long
        except Exception:  # noqa: BLE001 - a fault in one answer must not cost the link
            _LOG.exception("a question of node %s failed", lane.peer)
            fault = InternalError("a question failed; see the log of the node that was asked")
            answer = questions.encode_error(number, fault)
        self._send(lane, answer)

    def _send(self, lane: Lane, answer: bytes) -> None:
        if len(answer) <= MAX_BYTES and self._bridge.has_room(lane):
            self._bridge.tell(lane, Answer(frames.without_head(answer)))


def _fail(answer: asyncio.Future[msgspec.Raw], error: JobxError) -> None:
    if not answer.done():
        answer.set_exception(error)
