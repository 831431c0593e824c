"""A node under load while its etcd fails in every way; takes minutes, so it is run by its name.

``pytest -s tests/chaos/etcd_faults.py`` prints how long callers waited for what.
``JOBX_CHAOS_S=30`` is how long each fault lasts, and ``JOBX_CHAOS_SCHEME=etcd2`` has the node use
the v2 API. ``JOBX_CHAOS_REQUESTS=500`` is how many are asked while etcd and the node are killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from jobx.errors import JobxError, OutcomeUnknown, StoreFull, StoreUnavailable
from jobx.kv import keys
from jobx.kv.requests.request_entity import new_id
from jobx.model import Retry
from tests.chaos.test_kill import HANDLERS as KILLED_HANDLERS
from tests.chaos.test_kill import STEPS as KILLED_STEPS
from tests.chaos.test_kill import Client, Seen, check_store, report, running
from tests.support.authoring import WORKFLOW, define
from tests.support.etcd import FORGETFUL, V2, Etcd, etcd_servers
from tests.support.etcd_node import (
    HANDLERS,
    LITTLE_ROOM,
    STEPS,
    answers,
    expect_all_ended,
    fill,
    make_room,
    opened,
)
from tests.support.live_node import LiveNode, live_node, outcome_of, pairs_of
from tests.support.proxy import Proxy, proxy
from tests.support.served import kill, served
from tests.support.waiting import after, eventually

pytestmark = pytest.mark.timeout(600)

FAULT_S = float(os.environ.get("JOBX_CHAOS_S", "30"))
#: How nodes speak to servers.
SCHEME = os.environ.get("JOBX_CHAOS_SCHEME", "etcd")
CLIENTS = 8
REQUESTS = int(os.environ.get("JOBX_CHAOS_REQUESTS", "500"))
#: How long callers wait.
WAIT_S = 10.0
#: What callers may be told: nothing of the request was begun; or it may have been.
REFUSED, UNKNOWN = (StoreUnavailable, StoreFull), OutcomeUnknown


@dataclass
class Load:
    """Callers that ask one request after the other, and what they were told.

    Attributes:
        told: For each kind of answer how long callers waited for it.
        refused: Requests that were refused as not begun.
        wrong: Answers that are none of a request.
    """

    node: LiveNode
    told: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    refused: list[str] = field(default_factory=list)
    wrong: list[object] = field(default_factory=list)

    def run(self, is_over: Callable[[], bool]) -> None:
        """Ask until it is over."""
        while not is_over():
            request_id, began = new_id(time.time(), os.urandom(10)), time.monotonic()
            kind = self._ask(request_id)
            self.told[kind].append(time.monotonic() - began)

    def _ask(self, request_id: str) -> str:
        try:
            asked = self.node.post_later("fan", {"n": 3}, request_id=request_id, wait_s=WAIT_S)
            outcome = outcome_of(asked)
        except REFUSED as error:
            self.refused.append(request_id)
            last(0.05)
            return error.code
        except UNKNOWN as error:
            assert request_id in str(error)
            return error.code
        except JobxError as error:
            self.wrong.append(error)
            return error.code
        if outcome.request.state == "succeeded" and pairs_of(outcome) != [("n", 3)]:
            self.wrong.append(outcome)
        return outcome.request.state

    def report(self, fault: str) -> str:
        """Return a line for each kind of answer."""
        lines = [f"\n{fault}:"]
        for kind, times in sorted(self.told.items()):
            times.sort()
            middle, last = times[len(times) // 2], times[-1]
            lines.append(f"  {kind:20} {len(times):6}   p50 {middle:6.2f} s   max {last:6.2f} s")
        return "\n".join(lines)


@contextmanager
def load(node: LiveNode, fault: str, data_dir: Path) -> Iterator[None]:
    """Ask all the time, also a while after, and check all that was seen in the end."""
    made, over = Load(node), threading.Event()
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(made.run, over.is_set) for _ in range(CLIENTS)]
        try:
            eventually(lambda: made.told["succeeded"])
            yield
            assert eventually(lambda: answers(node), timeout_s=60)
            count = len(made.told["succeeded"])
            assert eventually(lambda: len(made.told["succeeded"]) > count, timeout_s=60)
        finally:
            over.set()
        for client in clients:
            client.result(120)
    print(made.report(fault))  # noqa: T201 - the figures of the run
    assert made.wrong == []
    expect_all_ended(data_dir, node)
    with closing(opened(data_dir)) as store:
        begun = [one for one in made.refused if store.get(keys.entity("request", WORKFLOW, one))]
    assert begun == []
    assert "failed" not in made.told and "cancelled" not in made.told


def last(seconds: float = FAULT_S) -> None:
    """Let a fault last."""
    eventually(after(seconds), timeout_s=seconds + 60)


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Etcd, str, Callable[[], None]], None]:
    """Runs a node on servers, by their URL, while a fault is there."""

    def run(etcd: Etcd, fault: str, strike: Callable[[], None], url: str = "") -> None:
        monkeypatch.setenv("JOBX_STORE_URL", url or etcd.url_of(SCHEME))
        define(tmp_path / "data", HANDLERS, STEPS)
        with live_node(tmp_path / "data") as node, load(node, fault, tmp_path / "data"):
            strike()

    (tmp_path / "data").mkdir(mode=0o700)
    return run


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=str)
@pytest.mark.parametrize("who", ["leader", "two of three", "the only one"])
def test_members_are_gone_for_a_while(
    who: str, how: signal.Signals, run: Callable[..., None], tmp_path: Path
) -> None:
    count = 1 if who == "the only one" else 3
    with etcd_servers(tmp_path / "etcd", count, flags=(*FORGETFUL, V2)) as etcd:

        def strike() -> None:
            gone = etcd.members[:2] if who == "two of three" else [etcd.leader()]
            for member in gone:
                member.signal(how)
            last()
            if how is signal.SIGSTOP:
                for member in gone:
                    member.signal(signal.SIGCONT)
            else:
                for member in gone:
                    member.kill()
                etcd.start(*gone)

        run(etcd, f"{who}, {how.name}", strike)


@pytest.mark.parametrize("how", ["is_deaf", "is_mute", "slow", "cut", "repeat"])
def test_the_way_to_the_server_is_bad_for_a_while(
    how: str, run: Callable[..., None], tmp_path: Path
) -> None:
    with (
        etcd_servers(tmp_path / "etcd", flags=(*FORGETFUL, V2)) as etcd,
        proxy(etcd.servers[0]) as way,
    ):
        run(etcd, f"the way is {how}", lambda: _spoil(way, how), f"{SCHEME}://{way.server}")


def _spoil(way: Proxy, how: str) -> None:
    is_over = after(FAULT_S)
    if how in ("is_deaf", "is_mute"):
        setattr(way, how, True)
        last()
        setattr(way, how, False)
    elif how == "slow":
        way.delay_s = 0.25
        last()
        way.delay_s = 0.0
    while how in ("cut", "repeat") and not is_over():
        (way.cut if how == "cut" else way.repeat)()
        last(0.5)


def test_the_disk_of_the_leader_stalls_again_and_again(
    run: Callable[..., None], tmp_path: Path
) -> None:
    """A server that waits for its disk answers nobody: as one that is stopped."""
    with etcd_servers(tmp_path / "etcd", 3, flags=(*FORGETFUL, V2)) as etcd:

        def strike() -> None:
            is_over = after(FAULT_S)
            while not is_over():
                slow = etcd.leader()
                slow.signal(signal.SIGSTOP)
                last(0.3)
                slow.signal(signal.SIGCONT)
                last(0.5)

        run(etcd, "the leader's disk stalls", strike)


@pytest.mark.skipif(SCHEME == "etcd2", reason="the quota of etcd is for what its v3 API stores")
def test_there_is_no_room_for_a_while(run: Callable[..., None], tmp_path: Path) -> None:
    with etcd_servers(tmp_path / "etcd", flags=LITTLE_ROOM) as etcd:

        def strike() -> None:
            fill(tmp_path / "data")
            last(FAULT_S / 3)
            make_room(etcd, tmp_path / "data")

        run(etcd, "no room", strike)


def test_the_server_compacts_all_the_time(run: Callable[..., None], tmp_path: Path) -> None:
    with etcd_servers(tmp_path / "etcd", flags=(*FORGETFUL, V2)) as etcd:

        def strike() -> None:
            is_over = after(FAULT_S / 3)
            while not is_over():
                with suppress(subprocess.CalledProcessError):  # nothing was written meanwhile
                    etcd.ctl("compact", str(etcd.ctl("get", "none")["header"]["revision"]))

        run(etcd, "compactions", strike)


def test_etcd_is_killed_twice_and_the_node_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir, seen, over = tmp_path / "data", Seen(), threading.Event()
    with etcd_servers(tmp_path / "etcd", flags=(*FORGETFUL, V2)) as etcd:
        monkeypatch.setenv("JOBX_STORE_URL", etcd.url_of(SCHEME))
        define(data_dir, KILLED_HANDLERS, KILLED_STEPS, leaf={"retry": Retry(attempts=5)})
        with served(data_dir) as serving, ThreadPoolExecutor(CLIENTS) as pool:
            began = time.monotonic()
            parts = [range(number, REQUESTS, CLIENTS) for number in range(CLIENTS)]
            asked = [pool.submit(Client(serving, seen, part, over).run) for part in parts]
            for part, strike in enumerate((etcd.members[0].kill, None, etcd.members[0].kill)):
                eventually(lambda n=part: len(seen.waits_s) > (n + 1) * REQUESTS // 4, 300.0)
                if strike is None:
                    kill(serving.node())
                    seen.kills["node"] += 1
                else:
                    strike()
                    etcd.start()
                    seen.kills["etcd"] += 1
            for one in asked:
                one.result(300)
            took_s = time.monotonic() - began
            assert eventually(lambda: running(serving) == [], timeout_s=60)
        report(seen, took_s)
        assert seen.wrong == []
        assert sorted(seen.ids) == sorted(f"key-{number}" for number in range(REQUESTS))
        assert [ids for ids in seen.ids.values() if len(ids) > 1] == []
        check_store(data_dir, {request_id for (request_id,) in seen.ids.values()})
