"""The node that a run asks: the one that runs on the data folder, or one of its own."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

from jobx import logs
from jobx.errors import NodeUnreachable
from jobx.questions import Question
from jobx.tools.serving import checks
from jobx.tools.shared.command import Call
from jobx.views import View

A = TypeVar("A", bound=View)


class AskNode(Protocol):
    """Asks a node; gives its answer or raises its error."""

    async def __call__(self, question: Question[A]) -> A:
        """See ``NodePort.call``."""


@asynccontextmanager
async def asked_node(call: Call) -> AsyncIterator[AskNode]:
    """Give the way to ask the running node, or one that is started here and stopped after."""

    def ask_running(question: Question[A]) -> A:
        # A connection for each, so that one that is still waiting is in nobody's way.
        with call.gateway() as gateway:
            return gateway.call(question)

    async def ask(question: Question[A]) -> A:
        return await asyncio.to_thread(ask_running, question)

    if await asyncio.to_thread(_is_running, call):
        yield ask
        return
    from jobx.actors.node import Node  # noqa: PLC0415 - most commands need no actors

    checks.check(call.settings, os.environ)
    logs.write_to(logging.StreamHandler(), "warning")
    logging.getLogger("jobx.notify").addFilter(_is_news)
    node = Node(call.settings, os.environ)
    await node.start()
    try:
        yield node.call
    finally:
        await node.stop(call.settings.node.drain_s)


def _is_news(record: logging.LogRecord) -> bool:
    """Pass over the notification of the one request's failure, which the command itself tells."""
    return not (isinstance(record.args, tuple) and record.args[:1] == ("request.failed",))


def _is_running(call: Call) -> bool:
    try:
        call.gateway().close()
    except NodeUnreachable:
        call.find_store()
        return False
    return True
