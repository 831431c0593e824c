from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from msgspec.structs import replace

from jobx import meanings
from jobx.tools.commands import top
from jobx.views import ExecutorView
from tests.support import fake_node
from tests.support.fake_node import FakeNode, gateway_thread

Jobx = Callable[..., Result]


@pytest.fixture
def node(folder: Path) -> Iterator[FakeNode]:
    folder.mkdir()
    node = FakeNode()
    with gateway_thread(node, folder / "gateway.sock"):
        yield node


@pytest.mark.usefixtures("node")
def test_top_shows_a_node_once_without_a_terminal(
    jobx: Jobx, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = ExecutorView(
        pid=7,
        state="busy",
        invocations=3,
        rss_bytes=1,
        age_s=1.0,
        workflow="w",
        request_id="r\x1b[31m",
    )
    monkeypatch.setattr(fake_node, "VIEW", replace(fake_node.VIEW, executors=[executor]))
    shown = jobx("top", "--once", "--interval", "0.1")
    assert shown.exit_code == meanings.OK
    lines = shown.output.splitlines()
    assert lines[0].startswith("node fake 1 is running, up 1 s")
    assert lines[1] == "requests a second: 0.0 accepted, 0.0 succeeded, 0.0 failed"
    assert "w/r" in shown.output
    assert "\x1b[31m" not in shown.output


@pytest.mark.usefixtures("node")
def test_top_answers_with_json(jobx: Jobx) -> None:
    shown = json.loads(jobx("top", "--once", "--json", "--interval", "0.1").output)
    assert (shown["node_id"], shown["busiest"]) == ("fake", [])
    assert shown["rates"]["failed"] == 0.0


def test_top_without_a_node_says_so(jobx: Jobx) -> None:
    shown = jobx("top", "--once")
    assert shown.exit_code != meanings.OK
    assert "no node" in shown.output


@pytest.mark.usefixtures("node")
def test_top_goes_on_until_it_is_interrupted(jobx: Jobx, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []

    def show(one: object) -> None:
        shown.append(one)
        if len(shown) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(top, "_say", show)
    assert jobx("top", "--interval", "0.1").exit_code == meanings.OK
    assert len(shown) == 2
