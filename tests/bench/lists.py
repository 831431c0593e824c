"""Measures lists and counts of requests among a million kept ones, in processor time.

    python -m tests.bench.lists [--count 1000000]

The bar is 20 ms each, for a page of 100; it takes minutes to write so many requests.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from jobx.actors.inspection import view_builders
from jobx.kv.sqlite.store import SqliteStore
from jobx.questions import CountRequests, ListRequests
from tests.bench import history
from tests.bench.peers.jobx_peer import WORKFLOW

_TRIES: Final = 15
_ENDED_AGO_S: Final = 43_200.0
#: What is asked for; few or none of the requests are what the last ones want.
_ASKED: Final[dict[str, dict[str, Any]]] = {
    "all": {},
    "failed": {"state": "failed"},
    "of a job": {"job": "one"},
    "of a job, failed": {"job": "one", "state": "failed"},
    "of an error": {"error": "ValueError"},
    "of an error and a job": {"job": "one", "error": "ValueError"},
    "by an argument": {"job": "one", "search": {"number": 7}},
    "of a time": {"since": "1w", "until": "1s"},
    "by an argument, succeeded": {"job": "one", "state": "succeeded", "search": {"number": 7}},
    "of an error, succeeded": {"job": "one", "state": "succeeded", "error": "ValueError"},
    "by an argument nobody gave": {"job": "one", "search": {"number": 8}},
}


def _ms(ask: Callable[[], Any]) -> str:
    times = []
    for _ in range(_TRIES):
        began = time.thread_time()
        ask()
        times.append(1e3 * (time.thread_time() - began))
    return f"{statistics.median(times):.1f} ms, most {max(times):.1f}"


@click.command()
@click.option("--count", type=click.IntRange(1), default=1_000_000, show_default=True)
def main(count: int) -> None:
    """Print what lists and counts take."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        history._store(folder, count, ended_ago_s=_ENDED_AGO_S)
        with closing(SqliteStore(folder / "jobx.sqlite")) as store:
            for what, filters in _ASKED.items():
                asked = ListRequests(workflow=WORKFLOW, limit=100, **filters)
                took = _ms(partial(view_builders.page, store, asked, time.time()))
                click.echo(f"list, {what}: {took}")
            counted = CountRequests(workflow=WORKFLOW)
            click.echo(f"counts: {_ms(partial(view_builders.counts, store, counted))}")


if __name__ == "__main__":
    main()
