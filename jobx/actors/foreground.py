"""Runs a node as a process of its own: its loop, its signals, its heartbeat."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Callable, Mapping
from typing import Any, Final

import uvloop

from jobx.actors.node import Node
from jobx.config import Settings
from jobx.errors import InternalError

#: Objects that are made between collections: of a request, hardly any is part of a cycle.
GC_THRESHOLD: Final = (10_000, 20, 20)
#: How often it is told that the loop turns.
BEAT_S: Final = 1.0
_STOPS: Final = (signal.SIGTERM, signal.SIGINT)
#: A terminal that is closed, or a log that is rotated, stops nothing: the log follows its file.
_IGNORED: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

_log = logging.getLogger(__name__)


def main(
    settings: Settings,
    environ: Mapping[str, str],
    beat: Callable[[], None] | None = None,
    *,
    pass_on_drain: Callable[[], None] | None = None,
    started: Callable[[], None] = lambda: None,
) -> None:
    """Run a node in the foreground until SIGTERM or SIGINT, or until it is asked to drain.

    Args:
        settings: All settings.
        environ: The environment, for executors and their fork server.
        beat: Called every second as long as the node's loop turns.
        pass_on_drain: Called when the node is asked in the store to drain: who started it will send
            SIGTERM. None: the node drains at once.
        started: Called when the node answers.

    Raises:
        JobxError: It cannot start; see ``Node.start``.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        node, drain_s = Node(settings, environ), settings.node.drain_s
        runner.run(_run(node, drain_s, beat or (lambda: None), pass_on_drain, started))


async def _run(
    node: Node,
    drain_s: float,
    beat: Callable[[], None],
    pass_on_drain: Callable[[], None] | None,
    started: Callable[[], None],
) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    _on_signals(_STOPS, stopped.set)
    _on_signals(_IGNORED, lambda: None)
    loop.set_exception_handler(lambda _, context: _take_fault(node, context))
    beating = loop.create_task(_beat(beat))
    draining = loop.create_task(_drain(node, pass_on_drain or stopped.set))
    await node.start()
    started()
    _spare_collections()
    waits = [loop.create_task(event.wait()) for event in (stopped, node.lost)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for waiting in waits:
        waiting.cancel()
    if node.lost.is_set():
        await node.stop(0.0)
        raise InternalError("the node cannot go on; see its log")
    _on_signals(_STOPS, node.hasten)  # a second one: do not wait for work
    await node.stop(drain_s)
    draining.cancel()
    beating.cancel()


def _spare_collections() -> None:
    """Leave what lives as long as the node out of collections, and have these less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)


def _on_signals(numbers: tuple[signal.Signals, ...], call: Callable[[], None]) -> None:
    for number in numbers:
        asyncio.get_running_loop().add_signal_handler(number, call)


async def _beat(beat: Callable[[], None]) -> None:
    while True:
        beat()
        await asyncio.sleep(BEAT_S)


async def _drain(node: Node, drain: Callable[[], None]) -> None:
    await node.asked_to_drain.wait()
    drain()


def _take_fault(node: Node, context: dict[str, Any]) -> None:
    """End the node when a callback of its loop failed: what that was to do is never done."""
    error, text = context.get("exception"), context.get("message", "")
    _log.error("%s", text, exc_info=error)
    if text.startswith("Exception in callback") and error is not None:
        node.fail(f"{text}: {error!r}")
