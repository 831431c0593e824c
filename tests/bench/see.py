"""Measures what looking at a request of a million events costs.

    python -m tests.bench.see [--count 1000000] [--turns 4] [--no-posts]

Pages: the first one of a log, which is folded, and then each kind of page, of the fold in memory
and of the file of views; the bar is 50 ms. Explain: what a node's loop does to say what so many
open invocations wait for; the bar is 5 ms. POSTs: how many a node does in a second beside a reader
that is asked for one trace of the request after the other, and alone, in turns; the bar is 0.9.
"""

from __future__ import annotations

import contextlib
import http.client
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from jobx import questions
from jobx.actors.inspection.folding import view_file
from jobx.actors.readers.folds import Folds
from jobx.actors.readers.table import Table, table
from jobx.actors.request.branches import MAPPER, ROOT
from jobx.actors.request.decisions import RunMappers
from jobx.actors.request.events import Finished, to_record
from jobx.actors.request.open_groups import groups, open_count
from jobx.actors.request.standing import Backoff, Backoffs, Whereabouts
from jobx.actors.request.state import RequestState
from jobx.kv.blobs import BlobFolder
from jobx.kv.requests import event_log
from jobx.kv.sqlite.store import SqliteStore
from jobx.kv.store import Store
from tests.bench import dumps
from tests.bench.asked_server import Server, load
from tests.bench.peers.jobx_peer import create_entities, settings
from tests.unit.actors.request.driver import PLAN, accepted, mapped

KEY: Final[Any] = {"workflow": "w", "request_id": dumps.ID}
TURN_S: Final = 8.0
_MB: Final = 1 << 20


def kinds(count: int) -> dict[str, list[Any]]:
    """Return questions for pages of each kind, at places all over a request."""
    places = [count * part // 7 + 1 for part in range(7)]
    return {
        "summary": [questions.GetSummary(**KEY)],
        "tree": [questions.GetTree(**KEY, limit=100), questions.GetTree(**KEY, of="m77")],
        "invocations from": [
            questions.ListInvocations(**KEY, start=f"m{place}", limit=1000) for place in places
        ],
        "invocations by state": [
            questions.ListInvocations(**KEY, state=state, limit=1000)
            for state in ("succeeded", "failed", "pending", "cancelled")
        ],
        "invocations by step": [
            questions.ListInvocations(**KEY, step=step, kind="map", limit=1000)
            for step in ("fan", "leaf")
        ],
        "timeline": [
            questions.GetTimeline(**KEY),
            questions.GetTimeline(**KEY, from_at=1.2, until_at=1.4, width=600),
        ],
    }


def _ms(answers: Table, store: Store, question: Any) -> float:
    """Return what an answer takes, in processor time: others may be at work."""
    began = time.thread_time()
    answers[type(question)](store, question)
    return 1e3 * (time.thread_time() - began)


def pages(store: Store, folder: Path, count: int) -> None:
    """Print what pages take."""
    blobs, first = BlobFolder(folder / "blobs"), questions.GetSummary(**KEY)
    whole: dict[str, Any] = {"slice_s": 1e9, "part_s": 1e9}  # the first page is of the whole log
    for name, folds in (("memory", Folds(**whole)), ("file", Folds(blobs, **whole))):
        answers = table(folds)
        took = _ms(answers, store, first)
        click.echo(f"{name}: first page, which reads the log: {took / 1e3:.1f} s")
        if name == "file":
            size = (blobs.path("w", dumps.ID) / view_file.NAME).stat().st_size
            answers = table(Folds(blobs, **whole))
            took = _ms(answers, store, first)
            click.echo(f"file: {size / _MB:.1f} MB; first page of another process: {took:.1f} ms")
        for kind, asked in kinds(count).items():
            times = [_ms(answers, store, one) for _ in range(5) for one in asked]
            click.echo(f"{name}: {kind}: {statistics.median(times):.1f} ms, most {max(times):.1f}")


def explained(count: int) -> None:
    """Print what it takes to group the open invocations of a request, by what they wait for."""
    leaves = _mapped_by([ROOT] * (count // 1000))
    deep = _mapped_by([ROOT, *range(1, 1 + count // 1000)])
    waits = Backoffs()
    for vertex in range(1, 1 + min(count, 100_000)):
        waits.begin((vertex, MAPPER), Backoff(9.0, "ValueError: wrong", step="s"))
    chunks = [chunk for start, chunk in leaves.tree.chunks.items() if start != ROOT][:100]
    queued = Whereabouts("queued", 1.0)
    started = [(RunMappers(chunk, chunk.start, chunk.count), queued) for chunk in chunks]
    situations: dict[str, tuple[RequestState, list[Any], Backoffs | None]] = {
        "ready": (leaves, [], None),
        "queued": (leaves, started, None),
        "backing off": (leaves, [], waits),
        "in families": (deep, [], None),
    }
    for name, (state, work, delayed) in situations.items():
        times = []
        for _ in range(9):
            began = time.thread_time()
            found = groups(state, work, delayed)
            times.append(1e3 * (time.thread_time() - began))
        told = sum(one.count for one in found)
        assert told == open_count(state), name
        click.echo(f"explain {told:,} open, {name}: {statistics.median(times):.2f} ms on the loop")


def _mapped_by(parents: list[int]) -> RequestState:
    """Return a request in which each of these mappers has mapped a thousand more, one by one."""
    state = RequestState(PLAN)
    accepted(state)
    for number, parent in enumerate(parents):
        chunk = 1 if parent != ROOT else ROOT
        state.apply(mapped(parent, 1 + 1000 * number, 1000, chunk=chunk, digest=str(number)))
    return state


@contextlib.contextmanager
def _traced(server: Server) -> Iterator[list[float]]:
    """Ask for one trace after the other, and for pages between."""
    stopping, taken = threading.Event(), []

    def run() -> None:
        with contextlib.closing(server.connect()) as connection:
            while not stopping.is_set():
                began = time.perf_counter()
                _ask(connection, f"/request/w/{dumps.ID}/trace?limit=1000")
                taken.append(time.perf_counter() - began)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield taken
    finally:
        stopping.set()
        thread.join()


def _ask(connection: http.client.HTTPConnection, path: str) -> int:
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def _rate(server: Server) -> float:
    with load(server) as done:
        time.sleep(1.0)
        before, began = done(), time.perf_counter()
        time.sleep(TURN_S)
        return (done() - before) / (time.perf_counter() - began)


def posts(folder: Path, turns: int) -> None:
    """Print how many POSTs a node does alone and beside a reader, in turns."""
    with Server(folder, {}) as server:
        ratios = []
        for _ in range(turns):
            alone = _rate(server)
            with _traced(server) as taken:
                beside = _rate(server)
            ratios.append(beside / alone)
            traces = ", ".join(f"{one:.1f}" for one in taken)
            click.echo(
                f"POSTs a second: alone {alone:.0f}, beside {beside:.0f}; traces: {traces} s"
            )
        click.echo(f"POSTs beside a reader: {statistics.median(ratios):.2f}")


@click.command()
@click.option("--count", type=click.IntRange(1), default=1_000_000, show_default=True)
@click.option("--turns", type=click.IntRange(1), default=4, show_default=True)
@click.option("--posts/--no-posts", "has_posts", default=True)
def main(count: int, turns: int, *, has_posts: bool) -> None:
    """Measure pages, and POSTs beside a reader."""
    explained(count)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        folder.mkdir(mode=0o700)
        create_entities(settings(folder))
        with contextlib.closing(SqliteStore(folder / "jobx.sqlite")) as store:
            dumps.write(store, count, is_slow=True)
            number = event_log.next_number(store, "w", dumps.ID)
            finished = to_record(Finished(2.0, "succeeded"))
            store.commit([event_log.event_write("w", dumps.ID, number, finished)])
            click.echo(f"{number + 1:,} events")
            pages(store, folder, count)
        if has_posts:
            posts(folder, turns)


if __name__ == "__main__":
    main()
