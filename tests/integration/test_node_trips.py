"""Combiners and reducers that run in the trip of their mapper are invocations of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobx.config import Settings
from jobx.model import Retry
from tests.support.live_node import Start, failure_of, pairs_of, trace_of

MAPPER = """
def handler(arguments):
    with open(arguments["log"], "a") as log:
        print("m", INVOCATION.attempt, file=log)
    print("mapped")
    yield Return()
    yield "log", arguments["log"]
"""
SAME = "def handler(key, values): yield key, values[0]\n"
#: Fails in the attempts before the third.
FAILS = """
def handler(key, values):
    with open(values[0], "a") as log:
        print(INVOCATION.id[0], INVOCATION.attempt, file=log)
    print("late")
    if INVOCATION.attempt < 3:
        %s
    yield key, values[0]
"""
RAISES = FAILS % "raise ConnectionResetError('no')"
STEPS = {"trip": ("m", "c", "r")}


def _states(root: Any) -> dict[str, tuple[str, int]]:
    nodes = [root, *root.children]
    return {node.invocation_id: (node.state, node.attempt) for node in nodes}


def _log(tmp_path: Path) -> list[str]:
    return (tmp_path / "log").read_text().split("\n")[:-1]


@pytest.mark.parametrize(("late", "name"), [("c", "c0"), ("r", "r0")])
def test_what_failed_is_named_and_its_mapper_has_succeeded(
    start: Start, tmp_path: Path, late: str, name: str
) -> None:
    sources = {"m": MAPPER, "c": SAME, "r": SAME, late: RAISES}
    node = start(sources, STEPS)

    outcome = node.post("trip", {"log": str(tmp_path / "log")})

    failure = failure_of(outcome)
    assert (failure.invocation_id, failure.handler_name, failure.attempt) == (name, late, 1)
    root = trace_of(node, outcome)
    assert _states(root)["m0"] == ("succeeded", 1)
    assert _states(root)[name] == ("failed", 1)
    outputs = {one.invocation_id: one.output for one in (root, *root.children)}
    assert (outputs["m0"], outputs[name]) == ("mapped\n", "late\n")


def test_a_reducer_is_tried_again_alone(start: Start, tmp_path: Path) -> None:
    retry = {"r": {"retry": Retry(attempts=3, backoff_s=0.01, on=("OSError",))}}
    node = start({"m": MAPPER, "c": SAME, "r": RAISES}, STEPS, retry)

    outcome = node.post("trip", {"log": str(tmp_path / "log")})

    assert pairs_of(outcome) == [("log", str(tmp_path / "log"))]
    assert _log(tmp_path) == ["m 1", "r 1", "r 2", "r 3"]
    states = _states(trace_of(node, outcome))
    assert (states["m0"], states["r0"]) == (("succeeded", 1), ("succeeded", 3))


def test_a_combiner_is_tried_again_as_it_says_though_its_mapper_is_not(
    start: Start, tmp_path: Path
) -> None:
    retry = {"c": {"retry": Retry(attempts=3, backoff_s=0.01)}}
    node = start({"m": MAPPER, "c": RAISES, "r": SAME}, STEPS, retry)

    outcome = node.post("trip", {"log": str(tmp_path / "log")})

    assert pairs_of(outcome) == [("log", str(tmp_path / "log"))]
    assert _log(tmp_path) == ["m 1", "c 1", "m 2", "c 2", "m 3", "c 3"]
    assert _states(trace_of(node, outcome))["c0"] == ("succeeded", 3)


def test_the_policy_of_a_mapper_is_not_its_reducers(start: Start, tmp_path: Path) -> None:
    retry = {"m": {"retry": Retry(attempts=3, backoff_s=0.01)}}
    node = start({"m": MAPPER, "c": SAME, "r": RAISES}, STEPS, retry)

    failure = failure_of(node.post("trip", {"log": str(tmp_path / "log")}))

    assert (failure.invocation_id, failure.attempt, _log(tmp_path)) == ("r0", 1, ["m 1", "r 1"])


@pytest.mark.parametrize("late", ["c", "r"])
def test_the_time_limit_of_a_late_handler_is_its_own_also_from_outside(
    start: Start, tmp_path: Path, late: str
) -> None:
    hangs = FAILS % (
        "import signal\n        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\n"
        "        while True: pass"
    )
    node = start(
        {"m": MAPPER, "c": SAME, "r": SAME, late: hangs}, STEPS, {late: {"time_limit_s": 0.2}}
    )

    failure = failure_of(node.post("trip", {"log": str(tmp_path / "log")}))

    assert (failure.kind, failure.invocation_id) == ("timeout", f"{late}0")
    assert "time limit" in failure.message or "longer than 0.2 s" in failure.message


@pytest.mark.parametrize("late", ["c", "r"])
def test_a_late_handler_that_kills_its_executor_is_named(
    start: Start, tmp_path: Path, late: str
) -> None:
    dies = FAILS.replace("< 3", "< 99") % "import os; os._exit(3)"
    node = start({"m": MAPPER, "c": SAME, "r": SAME, late: dies}, STEPS)

    failure = failure_of(node.post("trip", {"log": str(tmp_path / "log")}))

    attempts = Settings().requests.lost_attempts
    assert (failure.kind, failure.invocation_id, failure.attempt) == (
        "crash",
        f"{late}0",
        attempts,
    )
