"""Measures one peer at one work, in the peer's own process.

``python -m tests.bench.peers.PEER_peer WORK --folder DIR --texts DIR --out FILE [--quick]``
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from tests.bench import works
from tests.bench.figures import Figure
from tests.bench.peers.base import Call, Peer
from tests.bench.processes import Watch, cpu_s, peak_rss_mb, rss_mb
from tests.bench.text import Text, open_text
from tests.bench.work import check, large_text, sums_of
from tests.bench.works import CLIENTS, LARGE_BYTES, Sizes

T = TypeVar("T")

#: What takes longer is not repeated.
_CHEAP_S = 10.0


def main(name: str, open_peer: Callable[[Path], Peer]) -> None:
    """Measure what the command line says, and write the figures, a line each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=works.WORKS)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    sizes = works.QUICK if given.quick else works.FULL
    text = open_text(given.texts.absolute(), sizes.text_mb)
    with open_peer(given.folder.absolute()) as peer:
        bench = _Bench(name, given.work, sizes, text, peer)
        figures = list(MEASURES[given.work](bench))
    given.out.write_text("".join(f"{figure.to_json()}\n" for figure in figures))


@dataclass(frozen=True, slots=True)
class _Bench:
    """One peer at one work."""

    name: str
    work: str
    sizes: Sizes
    text: Text
    peer: Peer

    def latency(self) -> Iterator[Figure]:
        """One client that sends a request after the other."""
        call = self.peer.client()
        for number in range(self.sizes.warm_requests):
            _seconds(call, number)
        taken = sorted(_seconds(call, number) for number in range(self.sizes.requests))
        yield self._figure(len(taken), **_percentiles(taken), per_s=len(taken) / sum(taken))

    def load(self) -> Iterator[Figure]:
        """Several clients, each of which sends a request after the other."""
        with ThreadPoolExecutor(CLIENTS) as threads:
            start = threading.Barrier(CLIENTS)
            clients = [threads.submit(self._send, start) for _ in range(CLIENTS)]
            ended = [client.result() for client in clients]
        taken = sorted(seconds for client in ended for seconds in client)
        rate = sum(len(client) / sum(client) for client in ended)
        yield self._figure(CLIENTS, **_percentiles(taken), per_s=rate)

    def _send(self, start: threading.Barrier) -> list[float]:
        call = self.peer.client()
        for number in range(self.sizes.warm_requests // 4):
            _seconds(call, number)
        start.wait(timeout=60.0)
        taken: list[float] = []
        deadline = time.monotonic() + self.sizes.load_s
        while time.monotonic() < deadline:
            taken.append(_seconds(call, len(taken)))
        return taken

    def argument_8mb(self) -> Iterator[Figure]:
        """One client that gives a large argument with each request."""
        text = large_text(LARGE_BYTES)
        yield self._large(
            self.peer.argument(text), lambda length: check("length", length, len(text))
        )

    def result_8mb(self) -> Iterator[Figure]:
        """One client that gets a large result for each request."""
        text = large_text(LARGE_BYTES).encode()
        yield self._large(
            self.peer.result(len(text)), lambda answer: check("result", text in answer, True)
        )

    def _large(self, ask: Callable[[], T], check_answer: Callable[[T], None]) -> Figure:
        taken: list[float] = []
        for _ in range(1 + self.sizes.large):
            started = time.perf_counter()
            answer = ask()
            taken.append(time.perf_counter() - started)
            check_answer(answer)
        measured = sorted(taken[1:])
        n = LARGE_BYTES // 1_000_000
        return self._figure(n, **_percentiles(measured), seconds=statistics.median(measured))

    def first_post(self) -> Iterator[Figure]:
        """The first request to each of many workflows, one after the other."""
        calls = self.peer.first_calls(self.sizes.workflows)
        taken = sorted(_seconds(call, number) for number, call in enumerate(calls))
        yield self._figure(len(taken), **_percentiles(taken), per_s=len(taken) / sum(taken))

    def fanout(self) -> Iterator[Figure]:
        """One request with many invocations."""
        yield from self._fan_out(self.sizes.fanout)

    def wide_fanout(self) -> Iterator[Figure]:
        """The same with very many; nobody does this several times."""
        yield from self._fan_out(self.sizes.wide_fanout)

    def _fan_out(self, counts: tuple[int, ...]) -> Iterator[Figure]:
        check("fan-out", self.peer.fanout(100), sums_of(*range(100)))
        for count in counts:
            seconds, sums = self._timed(lambda n=count: self.peer.fanout(n))
            check(f"fan-out of {count}", sums, sums_of(*range(count)))
            pid = self.peer.watched_pid
            rss = peak_rss_mb(pid) if pid else None
            figure = self._figure(count, seconds=seconds, per_s=count / seconds, rss_mb=rss)
            yield replace(figure, work="fanout")

    def wordcount(self) -> Iterator[Figure]:
        """The words of a text, counted in the mapper."""
        yield from self._count_words(self.peer.wordcount)

    def wordcount_pairs(self) -> Iterator[Figure]:
        """The words of a text, one pair a word."""
        yield from self._count_words(self.peer.wordcount_pairs)

    def _count_words(self, count: Callable[[str], dict[str, int]]) -> Iterator[Figure]:
        seconds, counts = self._timed(lambda: count(str(self.text.path)))
        self.text.check(counts)
        yield self._figure(self.sizes.text_mb, seconds=seconds)

    def reduce_keys(self) -> Iterator[Figure]:
        """More distinct keys than anybody should hold; nobody does this twice."""
        children, keys = self.sizes.children, self.sizes.keys
        with Watch(self.peer.root_pid, self.peer.folder) as watch:
            started = time.perf_counter()
            check_result = self.peer.reduce_keys(children, keys)
            seconds = time.perf_counter() - started
        check_result()
        yield self._figure(
            children * keys,
            seconds=seconds,
            per_s=children * keys / seconds,
            rss_mb=watch.rss_mb,
            disk_mb=watch.disk_mb,
        )

    def idle(self) -> Iterator[Figure]:
        """Nothing, after some requests."""
        call, pid = self.peer.client(), self.peer.watched_pid
        assert pid is not None
        for number in range(self.sizes.warm_requests):
            _seconds(call, number)
        time.sleep(1.0)
        before, started = cpu_s(pid), time.perf_counter()
        time.sleep(self.sizes.idle_s)
        used, seconds = cpu_s(pid) - before, time.perf_counter() - started
        yield self._figure(0, seconds=seconds, rss_mb=rss_mb(pid), cpu_percent=100 * used / seconds)

    def _timed(self, call: Callable[[], T]) -> tuple[float, T]:
        """Return the median time of a call and its last result."""
        taken: list[float] = []
        while len(taken) < self.sizes.repeats and sum(taken) < _CHEAP_S:
            started = time.perf_counter()
            result = call()
            taken.append(time.perf_counter() - started)
        return statistics.median(taken), result

    def _figure(self, n: int, **columns: float | None) -> Figure:
        return Figure(peer=self.name, work=self.work, n=n, **columns)


MEASURES: dict[str, Callable[[_Bench], Iterator[Figure]]] = {
    "one": _Bench.latency,
    "http_one": _Bench.latency,
    "16": _Bench.load,
    "http_16": _Bench.load,
    "argument_8mb": _Bench.argument_8mb,
    "result_8mb": _Bench.result_8mb,
    "first_post": _Bench.first_post,
    "fanout": _Bench.fanout,
    "wide_fanout": _Bench.wide_fanout,
    "wordcount": _Bench.wordcount,
    "wordcount_pairs": _Bench.wordcount_pairs,
    "reduce_keys": _Bench.reduce_keys,
    "idle": _Bench.idle,
}


def _seconds(call: Call, number: int) -> float:
    """Return how long a call takes whose result is right."""
    started = time.perf_counter()
    sums = call(number)
    seconds = time.perf_counter() - started
    check(f"result for {number}", sums, sums_of(number))
    return seconds


def _percentiles(taken: list[float]) -> dict[str, float]:
    """Return the median and the 99th percentile of sorted times."""
    return {
        "p50_ms": 1e3 * taken[len(taken) // 2],
        "p99_ms": 1e3 * taken[len(taken) * 99 // 100],
    }
