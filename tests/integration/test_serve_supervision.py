"""``jobx serve`` and its children: stopped, signalled, killed as they start, standing still."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobx import meanings
from tests.support.authoring import ANSWER, SLEEP, define
from tests.support.processes import alive, descendants
from tests.support.served import Answer, Served, served
from tests.support.waiting import eventually

DRAIN_S = 2.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("served")
    define(made, {"answer": ANSWER}, {"a": ("answer", "sum")})
    return made


@pytest.fixture(scope="module")
def serving(folder: Path) -> Iterator[Served]:
    variables = {"JOBX_NODE_WATCHDOG_S": "6", "JOBX_NODE_DRAIN_S": str(DRAIN_S)}
    with served(folder, **variables) as found:
        yield found


def works(serving: Served) -> bool:
    """Whether a request gets its result."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        answer = serving.post("a", {})
        return answer.status == 200 and answer.pairs == [["answer", 42]]
    return False


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_that_asks_for_no_end_ends_nothing(
    number: signal.Signals, serving: Served
) -> None:
    before = descendants(serving.process.pid)
    for pid in (serving.process.pid, serving.node()):
        os.kill(pid, number)

    assert works(serving)
    assert serving.process.poll() is None
    assert serving.node() in before
    assert set(serving.web_workers()) <= before


def test_it_goes_on_after_it_was_stopped_for_longer_than_its_waits(serving: Served) -> None:
    node = serving.node()
    os.kill(serving.process.pid, signal.SIGSTOP)
    time.sleep(7.0)  # it is what is tested: longer than any wait, and than the watchdog's limit
    os.kill(serving.process.pid, signal.SIGCONT)

    assert works(serving)
    assert serving.process.poll() is None
    assert serving.node() == node


def test_a_node_that_stands_still_is_started_again(serving: Served) -> None:
    node = serving.node()
    os.kill(node, signal.SIGSTOP)

    eventually(lambda: not alive(node), timeout_s=60)
    eventually(lambda: works(serving), timeout_s=60)
    assert serving.node() != node


def test_a_web_server_that_stands_still_is_started_again(serving: Served) -> None:
    (server,) = serving._below(serving.process.pid, "gunicorn")
    os.kill(server, signal.SIGSTOP)

    eventually(lambda: not alive(server), timeout_s=60)
    eventually(lambda: works(serving), timeout_s=60)


def test_a_stop_with_a_waiting_client_takes_the_drain_time_and_ends_well(
    tmp_path: Path,
) -> None:
    define(tmp_path, {"sleep": SLEEP}, {"s": ("sleep", "sum")})
    with served(tmp_path, JOBX_NODE_DRAIN_S=str(DRAIN_S)) as serving:
        answers: list[Answer] = []
        waiting = threading.Thread(
            target=lambda: answers.append(serving.post("s", {"ms": 600_000}))
        )
        waiting.start()
        eventually(lambda: serving.ask("GET", "/node", None, 60.0, {}).body["open_requests"] == 1)
        assert serving.stop() == 0
        waiting.join(60)

    assert answers[0].status == 202  # so the end of the request was not waited for
    assert answers[0].headers["Location"]
    assert not (tmp_path / "running").exists()


@pytest.mark.parametrize("delay_s", [0.3, 0.8, 1.2, 1.6, 2.0, 2.6])
def test_nothing_outlives_it_when_it_is_killed_while_it_starts(
    delay_s: float, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "jobx.tools.cli", "serve", "--executors", "1"]
    command += ["--data", str(tmp_path / "data"), "--bind", f"unix:{tmp_path / 'sock'}"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        time.sleep(delay_s)  # what it is at then differs from run to run, and none may matter
        process.kill()

    eventually(lambda: not _of(tmp_path), timeout_s=60)


def _of(folder: Path) -> list[int]:
    """Return the processes that have something to do with a folder."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            with contextlib.suppress(OSError):
                told = [
                    Path(f"/proc/{entry}/{file}").read_bytes() for file in ("environ", "cmdline")
                ]
                if os.fsencode(folder) in b"".join(told) and alive(int(entry)):
                    found.append(int(entry))
    return found


def test_no_new_store_is_begun_in_place_of_a_data_folder_that_was_taken_away(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "d"
    with served(folder) as serving:
        node = serving.node()
        folder.rename(tmp_path / "elsewhere")
        os.kill(node, signal.SIGKILL)
        assert serving.process.wait(60) == meanings.STORE
        serving.expect_gone()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("option", "most"),
    [("-v", 3_000_000), ("-n", 64), ("-t", 1000), ("-s", 1024), ("-f", 1_000_000)],
)
def test_it_serves_under_limits_of_who_starts_it(option: str, most: int, tmp_path: Path) -> None:
    define(tmp_path / "d", {"answer": ANSWER}, {"a": ("answer", "sum")})
    words = [sys.executable, "-m", "jobx.tools.cli", "run", "w/a", "--data", str(tmp_path / "d")]
    script = f"ulimit {option} {most}; exec {shlex.join(words)}"
    run = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["result"] == {"pairs": [["answer", 42]]}
