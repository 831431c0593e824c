"""A real node in a thread of the test, with real executors and a real store."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import uvloop

from jobx import values
from jobx.actors.node import Node
from jobx.handlers.pairs import root_input, run_merger
from jobx.kv.requests.request_entity import new_id
from jobx.model import Failure
from jobx.payload import Payload
from jobx.questions import QUESTIONS, Question
from jobx.views import NodeView, Outcome, TraceNode, TraceView
from tests.support import etcd
from tests.support.authoring import WORKFLOW, settings_of
from tests.support.processes import descendants, identity, words
from tests.support.waiting import eventually

WAIT_S = 60.0


class LiveNode:
    """Asks a node as web workers do, without a socket between."""

    def __init__(self, node: Node, loop: asyncio.AbstractEventLoop) -> None:
        self.node = node
        self._loop = loop

    def ask(self, verb: str, **body: Any) -> dict[str, Any]:
        """Return the answer to a verb."""
        return self.ask_later(verb, **body).result(WAIT_S + 10)

    def ask_later(self, verb: str, **body: Any) -> Future[dict[str, Any]]:
        """Ask, and return the future of the answer."""
        if "fields" in body:
            body["fields"] = msgspec.Raw(values.pack(msgspec.to_builtins(body["fields"])))
        return self._later(QUESTIONS[verb](**body))

    def _later(self, question: Question[Any]) -> Future[dict[str, Any]]:
        return asyncio.run_coroutine_threadsafe(self._call(question), self._loop)

    async def _call(self, question: Question[Any]) -> dict[str, Any]:
        """Return an answer as plain values, as they come over the wire."""
        view: dict[str, Any] = msgspec.to_builtins(
            await self.node.call(question), builtin_types=(bytes,)
        )
        return view

    def post(self, job: str, arguments: dict[str, Any], **more: Any) -> Outcome:
        """Run a request and return what it ended with."""
        return outcome_of(self.post_later(job, arguments, **more))

    def post_later(
        self, job: str, arguments: dict[str, Any], **more: Any
    ) -> Future[dict[str, Any]]:
        """Start a request and return the future of its end."""
        body = {
            "request_id": new_id(time.time(), os.urandom(10)),
            "workflow": WORKFLOW,
            "job": job,
            "arguments": root_input.pack(arguments),
            "wait_s": WAIT_S,
        }
        return self.ask_later("submit", **{**body, **more})

    def status(self) -> NodeView:
        """Return the node as people see it."""
        return msgspec.convert(self.ask("node.status"), NodeView)

    def pids(self) -> list[int]:
        """Return the executors."""
        return [one.pid for one in self.status().executors if one.state != "blank"]

    def stop_later(self, drain_s: float) -> Future[None]:
        """Stop the node, and return the future of its end."""
        return asyncio.run_coroutine_threadsafe(self.node.stop(drain_s), self._loop)

    def hasten(self) -> None:
        """Do what a second signal does."""
        self.call_soon(self.node.hasten)

    def call_soon(self, call: Callable[[], object]) -> None:
        """Call something on the node's loop."""
        self._loop.call_soon_threadsafe(call)

    def later(self, call: Callable[[], object]) -> None:
        """Call something on the loop of the node."""
        self._loop.call_soon_threadsafe(call)

    def is_idle(self) -> bool:
        """Whether nothing is at work or open."""
        status = self.status()
        states = {executor.state for executor in status.executors} - {"blank"}
        return states == {"ready"} and status.open_requests == status.queued_batches == 0


#: Starts a node with the workflow that ``authoring.define`` makes of the arguments.
Start: TypeAlias = Callable[..., LiveNode]


def outcome_of(future: Future[dict[str, Any]]) -> Outcome:
    """Return what a request ended with."""
    return msgspec.convert(future.result(WAIT_S + 10), Outcome)


def pairs_of(outcome: Outcome) -> list[tuple[Any, Any]]:
    """Return the result of a request, which must have succeeded."""
    assert outcome.request.state == "succeeded", outcome.request.failure
    assert outcome.result is not None
    payloads = [Payload.from_wire(wire) for wire in outcome.result.payloads]
    return list(run_merger.pairs(payloads, Path(outcome.result.blob_dir)))


def failure_of(outcome: Outcome) -> Failure:
    """Return why a request failed, which it must have."""
    assert outcome.request.state == "failed"
    assert outcome.request.failure is not None
    return outcome.request.failure


def trace_of(node: LiveNode, outcome: Outcome) -> TraceNode:
    """Return the root of a request's trace."""
    request_id = outcome.request.request_id
    answer = node.ask("request.trace", workflow=WORKFLOW, request_id=request_id)
    root = msgspec.json.decode(answer["json"], type=TraceView).root
    assert root is not None
    return root


@contextmanager
def live_node(data_dir: Path, **flags: Any) -> Iterator[LiveNode]:
    """Run a node; after it no process is left, and no folder of an executor."""
    settings = settings_of(data_dir, {"node.executors": 2} | _dotted(flags))
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    before = descendants(os.getpid())
    try:
        node = Node(settings, os.environ)
        asyncio.run_coroutine_threadsafe(node.start(), loop).result(60)
        try:
            yield LiveNode(node, loop)
        finally:
            others = before.union(*map(descendants, before))  # of nodes in processes of their own
            new = {pid for pid in descendants(os.getpid()) - others if not _is_etcd(pid)}
            below = [one for pid in new if (one := identity(pid))]
            asyncio.run_coroutine_threadsafe(node.stop(0.1), loop).result(60)
            eventually(lambda: not any(one.goes_on for one in below))
            assert list((data_dir / "tmp").glob("*")) == []
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


def _is_etcd(pid: int) -> bool:
    """Whether a process is a server that the test itself started meanwhile."""
    return words(pid)[:1] == [etcd.program()]


def _dotted(flags: dict[str, Any]) -> dict[str, Any]:
    """Return flags by dotted name; ``requests__window`` is ``requests.window``."""
    return {name.replace("__", "."): value for name, value in flags.items()}
