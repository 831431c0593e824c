"""Processes are killed at random instants while clients ask; nothing may be lost or done twice.

``JOBX_CHAOS_S=1800 JOBX_CHAOS_REQUESTS=20000 pytest -s tests/chaos/test_kill.py`` is a long soak;
``JOBX_CHAOS_SEED`` draws other instants and other victims.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import os
import random
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from jobx.actors.orphans import ROUNDS, Orphans
from jobx.actors.request.events import Finished, from_record
from jobx.kv import keys
from jobx.kv.blobs import BlobFolder
from jobx.kv.opening import open_store
from jobx.kv.requests import event_log, request_entity
from jobx.model import Retry
from tests.support.authoring import GATED, WORKFLOW, define, settings_of
from tests.support.etcd import FORGETFUL, V2, Etcd, etcd_servers
from tests.support.served import Answer, Served, kill, served
from tests.support.waiting import eventually

SECONDS = float(os.environ.get("JOBX_CHAOS_S", "5"))
REQUESTS = int(os.environ.get("JOBX_CHAOS_REQUESTS", "60"))
SEED = int(os.environ.get("JOBX_CHAOS_SEED", "1"))
CLIENTS = 10
#: How long a client asks again before it gives up.
PATIENCE_S = 90.0
#: ``serve`` gives up a node that dies more often than five times a minute.
NODE_KILLS_A_MINUTE = 4

HANDLERS = {
    "one": """
def handler(arguments):
    yield Return()
    for key in range(10):
        yield key, arguments["n"] + key
""",
    # More than a chunk, so that the mapper is kept suspended while its children run.
    "wide": """
def handler(arguments):
    yield Map("leaf")
    for number in range(arguments["n"]):
        yield number, 1
""",
    # A session, and a level below that maps on.
    "tree": """
def handler(arguments):
    S_SET("factor", 3)
    yield Map("mid")
    for number in range(arguments["n"]):
        yield number, number
""",
    "mid": """
def handler(key, value):
    yield Map("leaf")
    for number in range(10):
        yield number, value
""",
    # Fails at first, now and then; takes a while.
    "leaf": """
import time
def handler(key, value):
    yield Return()
    if key % 50 == 7 and INVOCATION.attempt == 1:
        raise OSError("not at first")
    time.sleep(0.001)
    yield "sum", value
""",
    "times": "def handler(key, values):\n    yield key, sum(values) * S_GET('factor')\n",
}
STEPS = {
    "one": ("one", "sum"),
    "wide": ("wide", "sum"),
    "tree": ("tree", "times"),
    "mid": ("mid", "sum"),
    "leaf": ("leaf", "sum"),
}
JOBS: dict[str, tuple[Callable[[int], int], Callable[[int], list[Any]]]] = {
    "one": (lambda n: n, lambda n: [[key, n + key] for key in range(10)]),
    "wide": (lambda n: 1100 + n % 300, lambda n: [["sum", n]]),
    "tree": (lambda n: 15 + n % 10, lambda n: [["sum", 3 * 10 * n * (n - 1) // 2]]),
}


@dataclass
class Seen:
    """What clients and the killer saw.

    Attributes:
        ids: The requests that answered a client's key; one each, when all is well.
        wrong: What was not as it should be.
    """

    ids: dict[str, set[str]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    again: int = 0
    waits_s: list[float] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)


class Client:
    """Asks for one request after the other, each under a key of its own, until it is answered."""

    def __init__(self, serving: Served, seen: Seen, numbers: range, stop: threading.Event) -> None:
        self._serving = serving
        self._seen = seen
        self._numbers = numbers
        self._stop = stop

    def run(self) -> None:
        rng = random.Random(f"{SEED}/{self._numbers}")
        pause_s = SECONDS / len(self._numbers)
        for number in self._numbers:
            started = time.monotonic()
            try:
                self._demand(number, rng)
            except Exception as error:  # noqa: BLE001 - told in the test's own thread
                self._seen.wrong.append(f"request {number}: {type(error).__name__}: {error}")
            took_s = time.monotonic() - started
            self._seen.waits_s.append(took_s)
            self._stop.wait(max(0.0, pause_s * rng.uniform(0.5, 1.0) - took_s))

    def _demand(self, number: int, rng: random.Random) -> None:
        job = rng.choices(list(JOBS), (8, 1, 2))[0]
        argument, expected = JOBS[job]
        n = argument(number)
        key = f"key-{number}"
        waits = rng.random() < 0.6
        answer = self._until_done(job, n, key, waits)
        if answer.pairs != expected(n):
            self._seen.wrong.append(f"{job} {n}: {answer.body}")

    def _until_done(self, job: str, n: int, key: str, waits: bool) -> Answer:
        headers = {"Idempotency_Key": key} | ({} if waits else {"Prefer": "respond-async"})
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, http.client.HTTPException, json.JSONDecodeError):
                answer = self._serving.post(job, {"n": n}, **headers)
                if answer.status in (200, 202):
                    self._seen.ids.setdefault(key, set()).add(answer.request_id)
                if answer.status == 202:
                    answer = self._result(answer.request_id)
                if answer.status == 200:
                    return answer
                assert answer.status in (202, 409, 503, 504), answer
            self._seen.again += 1
            self._stop.wait(0.05)
        raise TimeoutError(f"no answer to {job} within {PATIENCE_S} s")

    def _result(self, request_id: str) -> Answer:
        return self._serving.get(request_id, "/result", Prefer="wait=10")


class Killer:
    """Kills a process of ``serve``, or all of them, every now and then."""

    def __init__(
        self, serving: Served, seen: Seen, stop: threading.Event, etcd: Etcd | None = None
    ) -> None:
        self._serving = serving
        self._seen = seen
        self._stop = stop
        self._etcd = etcd
        self._rng = random.Random(SEED)
        self._node_kills: deque[float] = deque()

    def run(self) -> None:
        while not self._stop.wait(self._rng.uniform(0.1, 1.2)):
            try:
                self._strike()
            except Exception as error:  # noqa: BLE001 - told in the test's own thread
                self._seen.wrong.append(f"killer: {type(error).__name__}: {error}")
                return

    def _strike(self) -> None:
        parts = {"executor": 8, "fork server": 3, "web worker": 3, "node": 3, "all": 1}
        if self._etcd is not None:
            parts["etcd"] = 3
        part = self._rng.choices(list(parts), list(parts.values()))[0]
        if part == "etcd" and self._etcd is not None:
            self._etcd.members[0].kill()
            self._stop.wait(self._rng.uniform(0.0, 2.0))
            self._etcd.start()
        elif part == "all":
            self._node_kills.clear()
            self._serving.kill_all()
            self._serving.start()
        elif part != "node" or self._may_kill_node():
            self._serving.note()
            # What another death has taken along meanwhile is no victim.
            with contextlib.suppress(IndexError, ValueError):
                kill(self._victim(part))
        else:
            return
        self._seen.kills[part] += 1

    def _victim(self, part: str) -> int:
        if part == "executor":
            return self._rng.choice(self._serving.executors())
        if part == "web worker":
            return self._rng.choice(self._serving.web_workers())
        return self._serving.node() if part == "node" else self._serving.fork_server()

    def _may_kill_node(self) -> bool:
        now = time.monotonic()
        while self._node_kills and self._node_kills[0] < now - 60:
            self._node_kills.popleft()
        if len(self._node_kills) >= NODE_KILLS_A_MINUTE:
            return False
        self._node_kills.append(now)
        return True


@pytest.fixture
def etcd_of_its_own(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Etcd | None]:
    """A server that may be killed, which nodes use; None: they use SQLite."""
    if request.param == "sqlite":
        yield None
        return
    with etcd_servers(tmp_path / "etcd", flags=(*FORGETFUL, V2)) as etcd:
        monkeypatch.setenv("JOBX_STORE_URL", etcd.url_of(request.param))
        yield etcd


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 240)
@pytest.mark.parametrize("etcd_of_its_own", ["sqlite", "etcd", "etcd2"], indirect=True)
def test_every_request_ends_once_and_right_whatever_is_killed(
    etcd_of_its_own: Etcd | None, tmp_path: Path
) -> None:
    retry = Retry(attempts=5, backoff_s=0.01)
    define(tmp_path, HANDLERS, STEPS, leaf={"retry": retry})
    seen = Seen()
    with served(tmp_path, JOBX_REQUESTS_LOST_ATTEMPTS="50", JOBX_HTTP_WORKERS="2") as serving:
        _strain(serving, seen, etcd_of_its_own)
        eventually(lambda: running(serving) == [], timeout_s=60)
        started = time.monotonic()
        assert serving.stop() == 0
        report(seen, time.monotonic() - started)
    assert seen.wrong == []
    assert sorted(seen.ids) == sorted(f"key-{number}" for number in range(REQUESTS))
    assert [ids for ids in seen.ids.values() if len(ids) > 1] == []
    check_store(tmp_path, {request_id for (request_id,) in seen.ids.values()})
    assert list((tmp_path / "tmp").glob("*")) == []


def _strain(serving: Served, seen: Seen, etcd: Etcd | None) -> None:
    stop = threading.Event()
    killer = threading.Thread(target=Killer(serving, seen, stop, etcd).run)
    clients = [
        threading.Thread(target=Client(serving, seen, range(n, REQUESTS, CLIENTS), stop).run)
        for n in range(CLIENTS)
    ]
    for thread in (killer, *clients):
        thread.start()
    for client in clients:
        client.join()
    stop.set()
    killer.join()


def running(serving: Served) -> list[Any]:
    """Return the requests that have not ended."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        answer = serving.ask("GET", f"/request/{WORKFLOW}?state=running", None, 30.0, {})
        if answer.status == 200:
            return list(answer.body["requests"])
    return ["unknown"]


def report(seen: Seen, last_s: float) -> None:
    """Print who was killed, how long clients waited, and how long what came last took."""
    waits = sorted(seen.waits_s)
    kills = ", ".join(f"{count} {part}" for part, count in sorted(seen.kills.items()))
    say = sys.stdout.write
    say(f"\nkilled: {kills}; asked again {seen.again} times\n")
    say(
        f"waits of {len(waits)} clients: median {waits[len(waits) // 2]:.2f} s, "
        f"99 % {waits[len(waits) * 99 // 100]:.2f} s, longest {waits[-1]:.2f} s; "
        f"then {last_s:.1f} s\n"
    )


def check_store(data_dir: Path, accepted: set[str]) -> None:
    """Look into the store: exactly the accepted requests are there, each ended once."""
    with closing(open_store(settings_of(data_dir))) as store:
        prefix = keys.entities("request", WORKFLOW)
        stored = {entry.key.removeprefix(prefix) for entry in store.range(prefix)}
        assert stored == accepted
        for request_id in stored:
            assert request_entity.get(store, WORKFLOW, request_id).state == "succeeded"
            events = [
                from_record(record) for _, record in event_log.read(store, WORKFLOW, request_id)
            ]
            assert [isinstance(event, Finished) for event in events].count(True) == 1
            assert isinstance(events[-1], Finished)
        assert store.range(keys.OPEN) == []
        # A node that died before it accepted a request left its folder; a sweep finds it later.
        blobs = BlobFolder(data_dir / "blobs")
        orphans = Orphans(store, blobs, is_open=lambda names: False)
        for _ in range(ROUNDS + 3):
            orphans.sweep(lambda: False)
        assert {request_id for _, request_id in blobs.requests()} <= stored


@pytest.mark.chaos
@pytest.mark.parametrize("part", ["node", "fork server", "executors"])
def test_client_that_waits_gets_its_answer_though_its_node_was_killed(
    part: str, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    define(tmp_path, {"gated": GATED}, {"slow": ("gated", "sum")})
    answers: list[Answer] = []
    # Executors are killed one after the other: each may have got the work of the one before it.
    with served(tmp_path, JOBX_REQUESTS_LOST_ATTEMPTS="100") as serving:
        ask = functools.partial(serving.post, "slow", {"gate": str(gate)})
        client = threading.Thread(target=lambda: answers.append(ask()))
        client.start()
        (request,) = eventually(lambda: [r for r in running(serving) if r != "unknown"])
        victims = {"node": [serving.node()], "fork server": [serving.fork_server()]}
        for pid in victims.get(part, serving.executors()):
            kill(pid)
        gate.touch()
        client.join(90)
    assert [(answer.request_id, answer.pairs) for answer in answers] == [
        (request["request_id"], [["n", 1]])
    ]
