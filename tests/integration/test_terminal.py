"""A caller's text in an operator's terminal: no command that prints for people lets it act."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from jobx.tools.cli import main
from tests.support.authoring import WORKFLOW, define
from tests.support.processes import running

#: Clears the screen, sets the title, answers for the person, turns text around, overwrites it.
HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b6n\u202egpj.exe\u2066\x7f\roverwritten\x08\U000e0041"
ACTS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
)
TELL = """
def handler(arguments):
    yield Return()
    said = arguments["said"]
    print(said)
    LOG.warning(said)
    S_SET("said", said)
    S_SET(said, 1)
    yield said, said
"""
FAIL = """
def handler(arguments):
    print(arguments["said"])
    S_SET("said", arguments["said"])
    raise ValueError(arguments["said"])
"""


def run(data_dir: Path, *words: str) -> str:
    """Return all that a command says that runs a node."""
    command = ["-m", "jobx.tools.cli", *words, "--data", str(data_dir)]
    with running(command, PYTHONIOENCODING="utf-8") as process:
        return "".join(process.communicate(timeout=60))


def ask(data_dir: Path, *words: str) -> str:
    """Return all that a command says that reads what is stored."""
    return CliRunner().invoke(main, [*words, "--data", str(data_dir)]).output


@pytest.fixture(scope="module")
def asked(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Path, dict[str, str], list[str]]]:
    """A store with requests that said it all; what that printed; one of each outcome."""
    data_dir = tmp_path_factory.mktemp("terminal") / "d"
    steps = {"tell": ("tell", "keep"), "fail": ("fail", "keep")}
    keep = "def handler(key, values):\n    for value in values:\n        yield key, value\n"
    define(data_dir, {"tell": TELL, "fail": FAIL, "keep": keep}, steps)
    argument = ("-a", f"said={json.dumps(HOSTILE)}", "--context", json.dumps({"who": HOSTILE}))
    said = {}
    for job in steps:
        for form in ("json", "ndjson", "table"):
            said[f"run {job} {form}"] = run(
                data_dir,
                "run",
                f"{WORKFLOW}/{job}",
                "--executors",
                "1",
                "--format",
                form,
                *argument,
            )
    listed = json.loads(ask(data_dir, "request", "list", WORKFLOW, "--json"))["requests"]
    by_state = {request["state"]: request["request_id"] for request in listed}
    yield data_dir, said, list(by_state.values())


def test_run_prints_nothing_that_acts(asked: tuple[Path, dict[str, str], list[str]]) -> None:
    for name, said in asked[1].items():
        assert "overwritten" in said, (name, said)
        assert ACTS.search(said) is None, (name, said)


@pytest.mark.parametrize(
    "words",
    [
        ("request", "get", "ID"),
        ("request", "trace", "ID"),
        ("request", "trace", "ID", "--detail"),
        ("request", "sessions", "ID"),
        ("request", "result", "ID"),
        ("request", "result", "ID", "--format", "table"),
        ("request", "result", "ID", "--format", "ndjson"),
        ("request", "graph", "ID"),
        ("request", "list"),
        ("invocation", "get", "ID", "m0"),
        ("invocation", "output", "ID", "m0"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("as_json", [False, True])
def test_command_prints_nothing_that_acts(
    words: tuple[str, ...], as_json: bool, asked: tuple[Path, dict[str, str], list[str]]
) -> None:
    data_dir, _, request_ids = asked
    group, verb, *more = words
    for request_id in request_ids:
        rest = [request_id if word == "ID" else word for word in more]
        flags = ["--json"] if as_json else []
        said = ask(data_dir, group, verb, WORKFLOW, *rest, *flags)
        assert said
        assert ACTS.search(said) is None, (words, said)
