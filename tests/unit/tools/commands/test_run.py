from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx import meanings
from jobx.errors import InvalidInput
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
