"""The commands of the console, at a node without actors but its root."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobx import meanings
from tests.support.fake_node import FakeNode, gateway_thread
from tests.unit.tools.conftest import Jobx


@pytest.fixture
def node(folder: Path) -> Iterator[FakeNode]:
    folder.mkdir()
    node = FakeNode()
    with gateway_thread(node, folder / "gateway.sock"):
        yield node


def address(jobx: Jobx) -> str:
    found: str = json.loads(jobx("actors", "list", "--json").output)["actors"][0]["address"]
    return found


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tree",), "Supervisor idle"),
        (("summary",), "1 live, 0 with mail, 1 created, 0 failed"),
        (("list",), "Supervisor"),
        (("list", "--class", "Batch"), "state"),
        (("top", "--by", "mailbox"), "state"),
        (("trace", "--seconds", "1"), "0 messages in "),
        (("dead-letters",), "why"),
        (("dump",), "node fake: 1 actors, 0 with mail"),
        (("dump", "--format", "dot"), "digraph actors {"),
        (("dump", "--format", "json"), '"actors": ['),
    ],
)
def test_each_command_shows_its_answer(jobx: Jobx, words: tuple[str, ...], said: str) -> None:
    done = jobx("actors", *words)
    assert done.exit_code == 0, done.output
    assert said in done.output


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize(
    "words", [("tree",), ("summary",), ("list",), ("top",), ("dead-letters",), ("dump",)]
)
def test_each_answer_comes_as_json(jobx: Jobx, words: tuple[str, ...]) -> None:
    assert json.loads(jobx("actors", *words, "--json").output)


@pytest.mark.usefixtures("node")
def test_one_actor_is_shown(jobx: Jobx) -> None:
    assert "class     Supervisor" in jobx("actors", "show", address(jobx)).output


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("stop", "ROOT"), meanings.TAKEN, "is used by the node, which cannot go on without it"),
        (("restart", "ROOT"), meanings.TAKEN, "is used by the node"),
        (("show", "n/1/9"), meanings.NOT_FOUND, "there is no actor named n/1/9"),
        (("list", "--class", "Colour"), meanings.INVALID, "is no class of actors"),
        (("list", "--after", "1-00000000"), meanings.INVALID, "is the cursor of another list"),
        (("list", "--limit", "0"), meanings.USAGE, "0 is not in the range 1<=x<=1000"),
        (("list", "--state", "awake"), meanings.USAGE, "'awake' is not one of"),
        (("summary", "--node", "b"), meanings.NOT_FOUND, "there is no node named b"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    jobx: Jobx, words: tuple[str, ...], code: int, said: str
) -> None:
    typed = [address(jobx) if word == "ROOT" else word for word in words]
    done = jobx("actors", *typed)
    assert (done.exit_code, said in done.output) == (code, True), done.output
