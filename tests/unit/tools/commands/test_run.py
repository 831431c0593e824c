from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path, PurePath
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx import meanings
from jobx.config import Settings
from jobx.errors import InUse, InvalidInput
from jobx.questions import Question, SubmitJob
from jobx.tools.commands import run
from jobx.tools.shared.command import Call
from jobx.tools.shared.parsing import local_paths, parse_argument, parse_arguments
from tests.unit.tools.conftest import Jobx


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("n=3", 3),
        ("n=1.5", 1.5),
        ("n=true", True),
        ("n=null", None),
        ('n="3"', "3"),
        ("n=three", "three"),
        ("n=", ""),
        ("n=a=b", "a=b"),
        ("n=[1, 2", "[1, 2"),
        ("n=NaN", "NaN"),
        ('n={"$bytes": "AAE="}', b"\x00\x01"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_argument_is_json_where_it_can_be_and_text_elsewhere(text: str, value: object) -> None:
    name, parsed = parse_argument(text)

    assert (name, parsed, type(parsed)) == ("n", value, type(value))


@given(st.recursive(st.integers() | st.text() | st.booleans() | st.none(), st.lists))
def test_argument_gives_back_what_was_written_as_json(value: object) -> None:
    assert parse_argument(f"n={json.dumps(value)}") == ("n", value)


@pytest.mark.parametrize("text", ["", "n", "=3"])
def test_argument_without_a_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="NAME=VALUE"):
        parse_argument(text)


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["w"], meanings.INVALID, "must be WORKFLOW/JOB"),
        (["W/j"], meanings.INVALID, "workflow name"),
        (["w/j", "-a", "n"], meanings.INVALID, "must be NAME=VALUE"),
        (["w/j", "--time-limit", "0"], meanings.USAGE, "--time-limit"),
        (["w/j"], meanings.NOT_FOUND, "there is no store named"),
    ],
)
def test_run_refuses_in_one_line_what_cannot_run(
    words: list[str], code: int, line: str, jobx: Jobx
) -> None:
    result = jobx("run", *words)

    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (code, "", 1)
    assert line in result.stderr


def test_an_argument_that_is_given_twice_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match=r"option -a: gives 'x' twice"):
        parse_arguments("-a", ["x=1", "y=2", "x=2"])


@pytest.mark.parametrize("body", ['{"a":1,"a":2}', "[" * 100_000 + "]" * 100_000])
def test_json_that_is_no_value_is_not_taken_for_text(body: str) -> None:
    with pytest.raises(InvalidInput, match="argument n"):
        parse_argument(f"n={body}")


@pytest.mark.parametrize(
    "text",
    [
        "1" * 5000,
        "[" * 100 + "]" * 100,
        '{"a": 1, "a": 2}',
        '{"$map": [[[1], 2]]}',
        "\udcff",
        "[1e400, 1" + "0" * 5000 + "]",
    ],
    ids=["digits", "deep", "twice", "list as key", "no text", "digits inside"],
)
def test_json_of_no_value_is_never_taken_for_text(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_argument(f"n={text}")


def test_a_path_from_here_is_told_to_be_none_for_handlers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "logs").mkdir()
    monkeypatch.chdir(tmp_path)
    arguments = {"folder": "logs", "whole": str(tmp_path), "word": "text", "n": 1, "none": ""}

    hints = list(local_paths(arguments))

    assert len(hints) == 1
    assert hints[0].startswith("argument folder: ")
    assert str(tmp_path / "logs") in hints[0]


def test_an_interrupted_run_cancels_after_its_request_has_been_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    async def interrupted() -> None:
        may_go_on = asyncio.Event()

        async def ask(question: Question[Any]) -> None:
            asked.append(question.verb)
            if isinstance(question, SubmitJob):
                await may_go_on.wait()

        @asynccontextmanager
        async def node(_: object) -> AsyncIterator[Any]:
            yield ask

        monkeypatch.setattr(run, "_node", node)
        submission = SubmitJob(workflow="w", request_id="r", job="j")
        work = asyncio.create_task(run._on_a_node(cast("Any", None), submission))
        await _turns()
        work.cancel()
        await _turns()
        assert asked == ["submit"]
        may_go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(interrupted())
    assert asked == ["submit", "request.cancel"]


async def _turns() -> None:
    """Let everything on the loop do what it can do now."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_a_watch_goes_on_while_another_command_starts_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Runs(Exception):
        pass

    async def applied(*_: object) -> set[PurePath]:
        return set()

    @asynccontextmanager
    async def node(_: object) -> AsyncIterator[Any]:
        raise InUse("data folder", "d", "process 1")
        yield

    async def told(*_: object) -> None:
        raise Runs

    for name, stand_in in {"_applied": applied, "_node": node, "_told": told}.items():
        monkeypatch.setattr(run, name, stand_in)
    call = Call(Settings(), as_json=False)
    submission = SubmitJob(workflow="w", request_id="r", job="j")
    with pytest.raises(Runs):
        asyncio.run(run._watch(call, tmp_path, submission, run._Shown("json", True)))
