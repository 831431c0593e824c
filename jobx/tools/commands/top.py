"""``jobx top``: what a running node is at, again and again."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Final

import click
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from jobx import amounts, printable
from jobx.errors import DeadlineExceeded, NodeLost, NodeUnreachable
from jobx.questions import GetMetrics, GetNode
from jobx.tools.shared import load, render
from jobx.tools.shared.command import Call, command
from jobx.tools.shared.gateway_client import GatewayClient
from jobx.tools.shared.load import Load, Look

#: Pause after a node that does not answer.
_AGAIN_S: Final = 1.0
_GONE: Final = (NodeUnreachable, NodeLost, DeadlineExceeded)
_AT_WORK: Final = ("executor", "state", "request", "invocations", "memory", "age")
#: States of executors that get no work.
_SPARE: Final = ("blank", "parked")


@command(None, "top", example="top")
@click.option("--interval", type=click.FloatRange(0.1, 3600), default=2.0, show_default=True,
              help="Seconds between two looks.")  # fmt: skip
@click.option("--once", is_flag=True, help="Show it once, with the rates of one interval.")
def top(call: Call, *, interval: float, once: bool) -> None:
    """Show what the node is at.

    Its state, rates, the busiest requests, its executors: until Ctrl-C.
    """
    loads = _loads(call, interval, goes_on=not once)
    try:
        if call.as_json:
            for one in loads:
                sys.stdout.write(f"{render.to_json(one, indent=2 if once else None)}\n")
                sys.stdout.flush()
        elif not once and sys.stdout.isatty():
            _live(loads)
        else:
            for one in loads:
                _say(one)
    except KeyboardInterrupt:
        return


def _loads(call: Call, interval_s: float, *, goes_on: bool) -> Iterator[Load]:
    """Yield the load of each interval.

    Raises:
        NodeUnreachable: No node answers, and nobody watches for it to come back.
    """
    before: Look | None = None
    while True:
        try:
            with call.gateway() as gateway:
                before = before or _look(gateway)
                while True:
                    time.sleep(interval_s)
                    now = _look(gateway)
                    yield load.between(before, now)
                    if not goes_on:
                        return
                    before = now
        except _GONE as error:
            if not goes_on or before is None:
                raise
            render.complain(f"{error}; waiting for the node")
            time.sleep(_AGAIN_S)


def _look(gateway: GatewayClient) -> Look:
    node, metrics = gateway.call(GetNode()), gateway.call(GetMetrics())
    return Look(time.monotonic(), node, metrics)


def _live(loads: Iterator[Load]) -> None:
    with Live(Text("…"), console=render.terminal(), screen=True, auto_refresh=False) as shown:
        for one in loads:
            shown.update(_drawn(one), refresh=True)


def _drawn(one: Load) -> Group:
    executors = Table(box=None, pad_edge=False)
    for name in _AT_WORK:
        executors.add_column(name, overflow="fold")
    for row in _rows(one):
        executors.add_row(*(Text(printable.line(str(cell))) for cell in row))
    return Group(*map(Text, _head(one)), Text(), *map(Text, _busiest(one)), Text(), executors)


def _say(one: Load) -> None:
    for line in (*_head(one), *_busiest(one)):
        render.say(line)
    render.say_table(_AT_WORK, _rows(one))
    render.say("")
    sys.stdout.flush()


def _head(one: Load) -> list[str]:
    counts = {name: f"{rate:,.1f} {name}" for name, rate in one.rates.items()}
    counts["http"] = f"{one.rates['http']:,.1f} HTTP requests"
    counts["log_bytes"] = f"{amounts.size(int(one.rates['log_bytes']))} of logs"
    return [
        f"node {one.node_id} {one.version} is {one.state}, up {amounts.duration(one.uptime_s)},"
        f" {amounts.size(one.rss_bytes)}; {amounts.count(one.open_requests, 'open request')},"
        f" {amounts.count(one.queued_batches, 'queued batch', 'es')}",
        f"requests a second: {_listed(counts, 'accepted', 'succeeded', 'failed')}",
        f"a second: {_listed(counts, 'invocations', 'retries', 'commits', 'log_bytes')}",
        f"a second: {_listed(counts, 'http', 'messages', 'stalls')}",
    ]


def _listed(counts: dict[str, str], *names: str) -> str:
    return ", ".join(counts[name] for name in names)


def _busiest(one: Load) -> list[str]:
    seats = sum(executor.state not in _SPARE for executor in one.executors)
    return [
        f"request {busy.workflow}/{busy.request_id} has {busy.executors} of {seats} executors"
        for busy in one.busiest
    ] or ["no request is at an executor"]


def _rows(one: Load) -> Iterator[tuple[object, ...]]:
    for executor in one.executors:
        request = f"{executor.workflow}/{executor.request_id}" if executor.request_id else "-"
        yield (
            *(executor.pid, executor.state, request, executor.invocations),
            *(amounts.size(executor.rss_bytes), amounts.duration(executor.age_s)),
        )
