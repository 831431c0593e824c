"""Each command of the page on troubleshooting answers, for requests as its sections are about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, get_args

import pytest
from click.testing import CliRunner

from jobx.actors.request.standing import Cause
from jobx.model import Retry
from jobx.tools.cli import main
from tests.support.authoring import WORKFLOW, define
from tests.support.explaining import begin, explain
from tests.support.live_node import LiveNode, live_node
from tests.support.waiting import eventually

PAGE: Final = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text()
SECTIONS: Final = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, flags=re.M | re.S))
#: What needs a cluster, or folders of its own, and is tried with these.
ELSEWHERE: Final = ("jobx cluster", "jobx handler sync", "jobx apply", "jobx serve")
WRONG = "def handler(arguments):\n    yield Return()\n    raise ValueError('no such town')\n"


def commands(section: str) -> list[str]:
    """Return the commands of a section, each once; what ends the request comes last."""
    found = dict.fromkeys(re.findall(r"`(jobx [^`]+)`", section))
    return sorted((one for one in found if not one.startswith(ELSEWHERE)), key=_ends)


def _ends(command: str) -> bool:
    return "cancel" in command


@contextmanager
def node_with_requests(folder: Path) -> Iterator[tuple[LiveNode, str, str]]:
    """Run a node with a request that waits to be tried again, and one that failed."""
    define(
        folder,
        {"wrong": WRONG, "later": WRONG},
        {"wrong": ("wrong", "sum"), "later": ("later", "sum")},
        later={"retry": Retry(attempts=3, backoff_s=600.0, max_backoff_s=600.0)},
    )
    with live_node(folder) as node:
        waiting = begin(node, "later", {})
        failed = node.post("wrong", {}).request.request_id
        eventually(lambda: explain(node, waiting).groups[0].cause == "backoff")
        yield node, waiting, failed


def test_each_command_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBX_NODE_DATA_DIR", str(tmp_path))
    with node_with_requests(tmp_path) as (_, waiting, failed):
        for title, section in SECTIONS.items():
            request_id = failed if title == "It failed" else waiting
            for command in commands(section):
                given = {"WORKFLOW": WORKFLOW, "REQUEST_ID": request_id}
                words = [given.get(word, word) for word in command.split()[1:]]
                done = CliRunner().invoke(main, words)
                assert (command, done.exit_code) == (command, 0), done.output
                assert done.stdout.strip(), command


def test_the_page_has_its_three_sections_with_commands() -> None:
    assert list(SECTIONS) == ["It is slow", "It failed", "It hangs"]
    assert all(map(commands, SECTIONS.values()))


@pytest.mark.parametrize("cause", [*get_args(Cause), "starting", "adoption"])
def test_each_cause_stands_in_the_reference(cause: str) -> None:
    reference = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
    assert f"`{cause}`" in reference
