"""What those who watch a request cost those who post others.

``python -m tests.bench.watchers [--quick]``: POSTs a second while a request runs that tells
something five times a second, alone and beside so many watchers, in turns. Since rates scatter,
the processor time of the server for a POST is shown, too, and what all watchers take of one: on a
busy machine, where few POSTs are done, only that says what they cost.
"""

from __future__ import annotations

import http.client
import os
import select
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

import click

from tests.support.authoring import ANSWER, FAN, define
from tests.support.processes import descendants
from tests.support.served import Served, served

WATCHERS: Final = 100
CLIENTS: Final = 8
#: Tells something some twenty times a second, for half an hour.
TICKING: Final = """
import time
def handler(key, value):
    yield Return()
    time.sleep(0.05)
    yield "n", 1
"""
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def main(words: list[str]) -> None:
    """Print the table."""
    pairs, part_s = (4, 3.0) if "--quick" in words else (8, 8.0)
    steps = {"answer": ("answer", "sum"), "fan": ("fan", "sum"), "each": ("each", "sum")}
    handlers = {"answer": ANSWER, "fan": FAN, "each": TICKING}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        define(Path(folder), handlers, steps)
        serving = stack.enter_context(served(Path(folder), JOBX_NODE_DRAIN_S="1"))
        started = serving.post("fan", {"n": 36_000}, Prefer="respond-async")
        path = f"/request/w/{started.request_id}/events"
        rates, costs, shares = [], [], []
        with watching(serving.port, path, WATCHERS):  # which starts the reader
            posts(serving, part_s)
        for number in range(pairs):
            found = {}
            for is_watched in (False, True) if number % 2 else (True, False):
                with watching(serving.port, path, WATCHERS if is_watched else 0) as heard:
                    found[is_watched] = posts(serving, part_s)
                told = f", {heard[0] / part_s / WATCHERS:.1f} messages each" if is_watched else ""
                rate, cost_s = found[is_watched]
                click.echo(f"{rate:7.0f} POSTs/s  {cost_s * 1e3:5.2f} ms of processor each{told}")
            rates.append(found[True][0] / found[False][0])
            costs.append(found[False][1] / found[True][1])
            shares.append(found[True][0] * (found[True][1] - found[False][1]))
        click.echo(
            f"beside {WATCHERS} watchers: rate {_middle(rates)}, per processor {_middle(costs)};"
            f" they take {statistics.median(shares):.3f} of a processor"
        )


@contextmanager
def watching(port: int, path: str, count: int) -> Iterator[list[int]]:
    """Read so many streams for the length of a ``with``; gives the number of messages."""
    heard, stop = [0], threading.Event()
    with ExitStack() as stack:
        streams = {}
        for _ in range(count):
            client = stack.enter_context(closing(socket.create_connection(("127.0.0.1", port))))
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            streams[client.fileno()] = client
        reader = threading.Thread(target=_read, args=(streams, heard, stop))
        reader.start()
        try:
            yield heard
        finally:
            stop.set()
            reader.join()


def _read(streams: dict[int, socket.socket], heard: list[int], stop: threading.Event) -> None:
    with closing(select.epoll()) as poll:
        for number in streams:
            poll.register(number, select.EPOLLIN)
        while not stop.is_set():
            for number, _ in poll.poll(0.1):
                heard[0] += streams[number].recv(1 << 18).count(b"id: ")


def posts(serving: Served, part_s: float) -> tuple[float, float]:
    """Return POSTs a second, and the processor time of the server for one, in seconds."""
    counts = [0] * CLIENTS
    until = time.monotonic() + part_s

    def post(client: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=60)
        with closing(connection):
            while time.monotonic() < until:
                headers = {"Content-Type": "application/json"}
                connection.request("POST", "/job/w/answer", "{}", headers)
                answer = connection.getresponse()
                assert (answer.status, bool(answer.read())) == (200, True)
                counts[client] += 1

    threads = [threading.Thread(target=post, args=(client,)) for client in range(CLIENTS)]
    before_s = spent_s(serving)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / part_s, (spent_s(serving) - before_s) / sum(counts)


def spent_s(serving: Served) -> float:
    """Return the processor time of all processes of the server."""
    ticks = 0
    for pid in (serving.process.pid, *descendants(serving.process.pid)):
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        ticks += int(text[11]) + int(text[12])
    return ticks / _TICKS


def _middle(ratios: list[float]) -> str:
    shown = " ".join(f"{ratio:.2f}" for ratio in sorted(ratios))
    return f"{statistics.median(ratios):.3f} ({shown})"


if __name__ == "__main__":
    main(sys.argv[1:])
