"""What counting for ``/metrics`` costs, beside all that a POST and a fan-out cost.

``python -m tests.bench.metrics``. Rates with and without it scatter by more than it takes, so its
own processor time is measured: all that a node and a web worker count of one POST, and of one batch
of a fan-out. The bar is 0.97: it may take three hundredths.
"""

from __future__ import annotations

import tempfile
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from jobx.actors.metrics import Metrics
from jobx.http.metering import Exchange, Meter
from tests.bench.watchers import posts, spent_s
from tests.support.authoring import ANSWER, COUNT, FAN, define
from tests.support.served import served

BATCH: Final = 1_000
FANNED: Final = 100_000
_TIMES: Final = 2_000


async def _sent(_: dict[str, Any]) -> None:
    """Send nothing."""


def _of_a_post(metrics: Metrics, meter: Meter) -> None:
    exchange = Exchange("POST", _sent)
    exchange.route = "/job/{workflow}/{job}"
    for event in ({"type": "http.response.start", "status": 200}, {"type": "http.response.body"}):
        _step(exchange.send(event))
    meter.ended(exchange)
    metrics.waited("w", "answer", 1, 0.001, 0.001)
    metrics.returned("w", "answer", ("map", "reduce"), 1, array("I", [100, 0, 20]))
    metrics.committed(0.002, is_fault=False)
    metrics.request_ended("w", "answer", "succeeded", 0.004)


def _step(sending: Any) -> None:
    """Run a coroutine that waits for nothing to its end."""
    try:
        sending.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


def _took_s(work: Callable[[], None], times: int = _TIMES) -> float:
    """Return the processor time of one turn: the least of five, since others are at work."""
    found = []
    for _ in range(5):
        began = time.thread_time()
        for _ in range(times):
            work()
        found.append((time.thread_time() - began) / times)
    return min(found)


@click.command()
def main() -> None:
    """Print what it costs."""
    metrics, meter = Metrics(), Meter()
    spent = array("I", [*range(100, 100 + BATCH), *[0] * BATCH, *[20] * BATCH])

    def of_a_batch() -> None:
        metrics.waited("w", "each", BATCH, 0.001, 1.0)
        metrics.returned("w", "each", ("map", "reduce"), BATCH, spent)

    post_s = _took_s(lambda: _of_a_post(metrics, meter))
    fan_s = _took_s(of_a_batch, 50) * FANNED / BATCH
    with tempfile.TemporaryDirectory() as name:
        handlers = {"answer": ANSWER, "fan": FAN, "each": COUNT}
        define(
            Path(name) / "d",
            handlers,
            {"answer": ("answer", "sum"), "fan": ("fan", "sum"), "each": ("each", "sum")},
        )
        with served(Path(name) / "d") as serving:
            posts(serving, 3.0)
            all_post_s = posts(serving, 10.0)[1]
            before_s = spent_s(serving)
            assert serving.post("fan", {"n": FANNED}).status == 200
            all_fan_s = spent_s(serving) - before_s
    for what, own_s, all_s in (
        ("POST", post_s, all_post_s),
        (f"fan-out of {FANNED:,}", fan_s, all_fan_s),
    ):
        click.echo(
            f"{what}: counting {own_s * 1e6:,.1f} µs of {all_s * 1e6:,.0f}: {1 - own_s / all_s:.4f}"
        )


if __name__ == "__main__":
    main()
