"""Deliveries that were given up, and are asked for again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from jobx.errors import NotEnded, NotFound
from jobx.tools.cli import main
from tests.support.authoring import ANSWER, WORKFLOW
from tests.support.explaining import begin
from tests.support.http_sink import http_sink
from tests.support.live_node import LiveNode, Start
from tests.support.waiting import eventually

GOOD = ({"good": ANSWER}, {"good": ("good", "sum")})
#: Returns once a file is there.
GATED = """
import os, time
def handler(arguments):
    yield Return()
    while not os.path.exists(arguments["gate"]):
        time.sleep(0.01)
"""


def states(live: LiveNode) -> list[str]:
    """Return how far deliveries are, as a page of requests shows them."""
    page = live.ask("request.list", workflow=WORKFLOW, state=None, after=None, limit=10)
    return [sent["state"] for request in page["requests"] for sent in request["deliveries"]]


def deliver(folder: Path, *words: str) -> dict[str, Any]:
    command = ["request", "deliver", WORKFLOW, *words, "--json", "--data", str(folder)]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_results_that_were_given_up_are_delivered_again_under_the_same_ids(
    start: Start, tmp_path: Path
) -> None:
    with http_sink() as sink:
        sink.answer = lambda _: (500, {})
        options = {"results__writer": "http", "results__http_url": sink.url}
        live = start(*GOOD, **options, results__attempts=1)
        for number in range(3):
            live.post("good", {}, request_id=f"r{number}")
        eventually(lambda: states(live) == ["given_up"] * 3)
        sink.answer = lambda _: (204, {})

        named = deliver(tmp_path, "r1")
        eventually(lambda: states(live).count("delivered") == 1)
        rest = deliver(tmp_path)
        eventually(lambda: states(live) == ["delivered"] * 3)
        nothing = deliver(tmp_path)
        words = ["request", "deliver", WORKFLOW, "--data", str(tmp_path)]
        said = CliRunner().invoke(main, words).stdout

    asked = [[r["request_id"] for r in answer["requests"]] for answer in (named, rest, nothing)]
    assert asked == [["r1"], ["r0", "r2"], []]
    assert said == "nothing was given up\n"
    ids = [post.headers["webhook-id"] for post in sink.posts]
    assert sorted(ids) == sorted(["w/r0", "w/r1", "w/r2"] * 2)


def test_what_runs_or_goes_nowhere_cannot_be_delivered_again(start: Start, tmp_path: Path) -> None:
    steps = {"good": ("good", "sum"), "gated": ("gated", "sum")}
    live = start({"good": ANSWER, "gated": GATED}, steps)
    live.post("good", {}, request_id="r0")
    gate = tmp_path / "gate"
    begin(live, "gated", {"gate": str(gate)}, request_id="r1")

    with pytest.raises(NotFound, match="delivery of a result named w/r0"):
        live.ask("request.deliver", workflow=WORKFLOW, request_id="r0")
    with pytest.raises(NotEnded, match="has not ended yet"):
        live.ask("request.deliver", workflow=WORKFLOW, request_id="r1")
    gate.touch()
    eventually(live.is_idle)
