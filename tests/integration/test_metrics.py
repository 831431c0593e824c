"""Metrics and the log of real processes: through the end of a web worker, and of the node."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.authoring import WORKFLOW, define
from tests.support.served import Served, kill, served
from tests.support.waiting import eventually

ONE = "def handler(n):\n    yield MrConfigureToReturn()\n    yield n, 1\n"
SUM = "def handler(key, values):\n    yield key, sum(values)\n"
POSTS = ("jobx_http_requests_total", "POST", "/job/{workflow}/{job}", "200")
ENDED = ("jobx_requests_total", "one", "succeeded", WORKFLOW)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "jobx.log"


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, log: Path) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("data")
    define(folder, {"one": ONE, "sum": SUM}, {"one": ("one", "sum")})
    settings = {
        "JOBX_HTTP_WORKERS": "2",
        "JOBX_NODE_WATCHDOG_S": "600",  # a test stops the node, and the machine may be slow
        "JOBX_NODE_LOG_LEVEL": "info",
        "JOBX_NODE_LOG_FORMAT": "json",
        "JOBX_NODE_LOG_PATH": str(log),
    }
    with served(folder, **settings) as serving:
        yield serving


def scrape(serving: Served) -> tuple[int, str]:
    """Return status and body of a scrape."""
    connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def counted(serving: Served) -> dict[tuple[str, ...], float]:
    """Return what a scrape shows, by name and the values of labels; nothing without a node."""
    status, text = scrape(serving)
    if status != 200:
        return {}
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def has_counted(serving: Served, count: int) -> bool:
    """Whether web workers and node have counted so many requests, each for themselves."""
    now = counted(serving)
    return (now.get(POSTS), now.get(ENDED)) == (count, count)


def test_counts_outlive_a_web_worker_and_begin_anew_with_the_node(serving: Served) -> None:
    for n in range(4):
        assert serving.post("one", {"n": n}).pairs == [[n, 1]]
    eventually(lambda: has_counted(serving, 4))

    gone = serving.web_workers()[0]
    kill(gone)
    eventually(lambda: gone not in serving.web_workers() and len(serving.web_workers()) == 2)
    assert serving.post("one", {"n": 9}).pairs == [[9, 1]]
    eventually(lambda: has_counted(serving, 5))

    kill(serving.node())
    anew = eventually(lambda: counted(serving))
    assert ENDED not in anew


def test_a_scrape_of_a_node_that_stands_still_says_so_in_time(serving: Served) -> None:
    eventually(lambda: counted(serving))
    node = serving.node()
    os.kill(node, signal.SIGSTOP)
    try:
        status, body = scrape(serving)
    finally:
        os.kill(node, signal.SIGCONT)
    assert status == 503
    # The worker that is asked may not have reached this node before it stood still.
    told = "the node does not answer", "the metrics were not ready", "no node answers"
    assert json.loads(body)["detail"].startswith(told)
    eventually(lambda: counted(serving).get(("jobx_node_ready",)) == 1)


def test_all_processes_log_in_lines_of_json(serving: Served, log: Path) -> None:
    found = [json.loads(line) for line in log.read_text().splitlines()]
    speakers = {line["process"] for line in found}
    assert {serving.process.pid, serving.web_server()} & speakers
    assert {line["node"] for line in found} == {"local"}
    assert all({"at", "level", "logger", "message"} <= line.keys() for line in found)
