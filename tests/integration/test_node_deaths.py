"""A node that dies of a request, and one that is killed from outside, as real processes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.authoring import ANSWER, SLEEP, define
from tests.support.served import Served, kill, served
from tests.support.waiting import eventually

#: Kills the node, in a mapper of its own or as the n-th of some.
KILLER = """
import os, signal
def handler(arguments):
    yield Map("step")
    for number in range(arguments["n"] + 1):
        yield number, number == arguments["n"]
"""
KILLER_STEP = """
import os, signal, time
def handler(key, value):
    yield Return()
    if value:
        time.sleep(0.5)
        server = os.getppid()
        with open(f"/proc/{server}/stat") as file:
            os.kill(int(file.read().rpartition(")")[2].split()[1]), signal.SIGKILL)
        time.sleep(60)
    yield key, 1
"""
HANDLERS = {"killer": KILLER, "step": KILLER_STEP, "sleep": SLEEP, "answer": ANSWER}
STEPS = {
    "kill": ("killer", "sum"),
    "step": ("step", "sum"),
    "sleep": ("sleep", "sum"),
    "answer": ("answer", "sum"),
}


def later(serving: Served, job: str, arguments: dict[str, Any]) -> str:
    answer = serving.post(job, arguments, Prefer="respond-async")
    assert answer.status == 202
    return answer.request_id


@pytest.mark.slow
@pytest.mark.parametrize("n", [0, 3])
def test_a_request_that_kills_the_node_is_set_aside_and_all_others_end(
    n: int, tmp_path: Path
) -> None:
    define(tmp_path, HANDLERS, STEPS)
    with served(tmp_path, JOBX_REQUESTS_NODE_DEATHS="2") as serving:
        others = [later(serving, "sleep", {"ms": 2000}) for _ in range(4)]
        poison = later(serving, "kill", {"n": n})

        failure = eventually(lambda: _failure(serving, poison), timeout_s=200)

        assert failure["type"] == "NodeDied"
        for other in others:
            answer = serving.get(other, "/result", Prefer="wait=60")
            assert answer.status == 200, answer
        assert serving.post("answer", {}).pairs == [["answer", 42]]


def _failure(serving: Served, request_id: str) -> Any:
    try:
        answer = serving.get(request_id)
    except OSError:
        return None
    return answer.body["failure"] if answer.status == 200 else None


@pytest.mark.slow
def test_kills_from_outside_fail_no_request(tmp_path: Path) -> None:
    define(tmp_path, HANDLERS, STEPS)
    with served(tmp_path, JOBX_REQUESTS_NODE_DEATHS="2") as serving:
        request_id = later(serving, "sleep", {"ms": 3000})
        for _ in range(3):
            time.sleep(0.5)  # it is at work, or waits, and has got no further
            serving.kill_all()
            serving.start()
        kill(serving.node())

        answer = eventually(lambda: _result(serving, request_id), timeout_s=60)

    assert answer.status == 200, answer


def _result(serving: Served, request_id: str) -> Any:
    try:
        answer = serving.get(request_id, "/result", Prefer="wait=5")
    except OSError:
        return None
    return None if answer.status in (202, 409, 503, 504) else answer  # 409: it has not ended
