"""The load of a soak: its asks, and where their results are delivered."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.chaos.soak.clients import Client
from tests.chaos.soak.exchanges import Exchanges
from tests.chaos.soak.history import Delivered, History, Stored, Violation
from tests.chaos.soak.jobs import JOBS
from tests.chaos.soak.plan import Ask, digest
from tests.support.authoring import WORKFLOW
from tests.support.http_sink import Post
from tests.support.served import Served

#: The writer of each job that has one.
WRITERS: Final = {name: job.writer for name, job in JOBS.items() if job.writer}


class Load:
    """Makes asks, and notes what comes of them.

    Args:
        folder: Where exchanges are written and results delivered.
        rate: Asks a second.
        clients: How many ask at once.
        has_past: The store has requests of nobody.
    """

    def __init__(self, folder: Path, *, rate: float, clients: int, has_past: bool = False) -> None:
        self.history = History()
        self.exchanges = Exchanges(folder / "exchanges.jsonl")
        self.results = folder / "results"
        self.results.mkdir(parents=True, exist_ok=True)
        self._rate = rate
        self._clients = clients
        self._has_past = has_past

    def environ(self, sink_url: str) -> dict[str, str]:
        """Return the settings of servers whose results are delivered here."""
        return {
            "JOBX_RESULTS_HTTP_URL": sink_url,
            "JOBX_RESULTS_FILE_PATH": str(self.results),
            "JOBX_RESULTS_BACKOFF_S": "0.2",
            "JOBX_RESULTS_MAX_BACKOFF_S": "3",
            "JOBX_RESULTS_ATTEMPTS": "1000",
            "JOBX_NOTIFY_LOG_LEVEL": "critical",
        }

    def ask(self, ports: Sequence[int], asks: Iterator[Ask], seconds: float) -> None:
        """Make asks at the rate, as far as the clients keep up with it, until time is over."""
        todo: queue.Queue[Ask | None] = queue.Queue(self._clients)
        client = Client(ports, self.history, told=self.exchanges.note)

        def work() -> None:
            while (ask := todo.get()) is not None:
                client.run(ask)

        threads = [threading.Thread(target=work) for _ in range(self._clients)]
        for thread in threads:
            thread.start()
        began = time.monotonic()
        for number, ask in enumerate(asks):
            due = began + number / self._rate
            if due > began + seconds or time.monotonic() > began + seconds:
                break
            time.sleep(max(0.0, due - time.monotonic()))
            todo.put(ask)
        for _ in threads:
            todo.put(None)
        for thread in threads:
            thread.join()

    def all_delivered(self) -> bool:
        """Whether each result that has a receiver is there."""
        ended = {
            (WRITERS[self.history.asks[n].job], f"{WORKFLOW}/{ending.request_id}")
            for n, ending in list(self.history.endings.items())
            if self.history.asks[n].job in WRITERS and ending.state == "succeeded"
        }
        came = {("http", one.delivery_id) for one in list(self.history.delivered["http"])}
        folder = self.results / WORKFLOW
        came |= {("file", f"{WORKFLOW}/{path.stem}") for path in folder.glob("*.ndjson")}
        return ended <= came

    def stored(self, serving: Served) -> list[Stored]:
        """Return the requests that a server lists."""
        found: list[Stored] = []
        after = ""
        while True:
            path = f"/request/{WORKFLOW}?limit=1000{after}"
            page = serving.ask("GET", path, None, 60.0, {}).body
            for one in page["requests"]:
                number = one["context"].get("ask", -1)
                if number < 0 and self._has_past:
                    continue
                found.append(Stored(number, one["request_id"], one["state"]))
            if page["next"] is None:
                return found
            after = f"&after={page['next']}"

    def receive(self, posts: list[Post], post: Post) -> tuple[int, dict[str, str]]:
        """Take what is posted, but for one in ten that is refused."""
        posts.clear()
        delivery_id = post.headers["webhook-id"]
        if hash((delivery_id, time.monotonic())) % 10 == 0:
            return 503, {}
        pairs = json.loads(post.body)["result"]["pairs"]
        one = Delivered(delivery_id, digest(pairs), time.monotonic())
        self.history.delivered["http"].append(one)
        return 204, {}

    def read_files(self) -> None:
        """Note what the writer of files has written."""
        for path in sorted((self.results / WORKFLOW).glob("*")):
            if path.suffix != ".ndjson":
                self.history.met.append(Violation("left file", str(path)))
                continue
            pairs = [json.loads(line) for line in path.read_text().splitlines()]
            one = Delivered(f"{WORKFLOW}/{path.stem}", digest(pairs), 0.0)
            self.history.delivered["file"].append(one)
