"""Requests that the node dies of, and those beside them, with real processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_large_bodies import MIB, memory_bytes
from tests.support.authoring import ANSWER, GATED, SLEEP, WORKFLOW, define
from tests.support.served import Answer, Served, kill, served
from tests.support.waiting import eventually


def begin(serving: Served, job: str, **arguments: Any) -> str:
    """Post a job and return the id of its request, which runs on."""
    answer = serving.post(job, arguments, Prefer="respond-async")
    assert answer.status == 202, answer
    return answer.request_id


def end_of(serving: Served, request_id: str) -> Answer:
    """Return a request when it has ended."""

    def ended() -> Answer | None:
        answer = serving.get(request_id)
        is_ended = answer.status == 200 and answer.body["state"] != "running"
        return answer if is_ended else None

    found: Answer | None = eventually(ended, timeout_s=150)
    assert found is not None
    return found


def test_requests_beyond_the_budget_of_memory_are_refused_before_they_are_accepted(
    tmp_path: Path,
) -> None:
    define(tmp_path, {"gated": GATED}, {"s": ("gated", "sum")})
    with served(tmp_path, JOBX_REQUESTS_MAX_OPEN_BYTES=str(256 << 10)) as serving:
        arguments = {"gate": str(tmp_path / "gate"), "filler": "x" * (50 << 10)}
        answers = [serving.post("s", arguments, Prefer="respond-async") for _ in range(12)]
        (tmp_path / "gate").touch()
        statuses = [answer.status for answer in answers]
        refused = [answer for answer in answers if answer.status == 503]
        assert statuses.count(202) in range(4, 7)
        assert len(refused) == 12 - statuses.count(202)
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
        assert {answer.body["type"] for answer in refused} == {"urn:jobx:problem:overloaded"}

        accepted = [answer.request_id for answer in answers if answer.status == 202]
        for request_id in accepted:
            assert end_of(serving, request_id).body["state"] == "succeeded"
        listed = serving.ask("GET", f"/request/{WORKFLOW}", None, 60.0, {}).body["requests"]
        assert len(listed) == len(accepted)
        assert serving.post("s", arguments).status == 200


@pytest.mark.every_store
def test_many_open_requests_are_taken_up_while_the_node_answers(tmp_path: Path) -> None:
    define(
        tmp_path,
        {"sleep": SLEEP, "answer": ANSWER},
        {"s": ("sleep", "sum"), "a": ("answer", "sum")},
    )
    with served(tmp_path) as serving:
        opened = [begin(serving, "s", ms=20) for _ in range(60)]
        serving.kill_all()
        serving.start()
        assert serving.ask("GET", "/health/ready", None, 60.0, {}).status == 200
        assert serving.post("a", {}).status == 200
        for request_id in opened:
            assert end_of(serving, request_id).body["state"] == "succeeded"


MEASURE = """
import time
def handler(arguments):
    yield Return()
    time.sleep(0.2)
    yield "size", len(arguments["text"])
"""


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_many_large_requests_end_though_executors_and_nodes_die(tmp_path: Path) -> None:
    define(tmp_path, {"measure": MEASURE}, {"m": ("measure", "sum")})
    # What a node of 700 MiB has for open requests; as much is open in arguments.
    environ = {"JOBX_REQUESTS_MAX_OPEN_BYTES": str(700 * MIB // 8)}
    size = 8 * MIB - 1000
    body = {"text": "x" * size}
    with served(tmp_path, **environ) as serving:
        opened = []
        for number in range(40):
            opened.append(begin(serving, "m", **body))
            if number % 20 == 10:
                kill(serving.node())
                serving.note()
            elif number % 20 == 0:
                for pid in serving.executors():
                    kill(pid)
        memory = memory_bytes(serving.node(), "VmHWM")
        assert [end_of(serving, one).body["state"] for one in opened] == ["succeeded"] * 40
        assert serving.get(opened[0], "/result").pairs == [["size", size]]
        assert max(memory, memory_bytes(serving.node(), "VmHWM")) < 300 * MIB
