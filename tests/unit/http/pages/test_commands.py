from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from jobx.http.pages import commands
from jobx.tools.shared.parsing import parse_arguments

ARGUMENTS: list[dict[str, Any]] = [
    {},
    {"n": 3, "x": 0.5, "is": True, "none": None},
    {"text": "to be; or $(rm -rf /) `not` \"to\" 'be'\n"},
    {"text": "5", "other": "true", "odd": "[1", "empty": ""},
    {"list": [1, "a", {"b": None}], "bytes": b"\x00\xff"},
]


def split(command: str) -> list[str]:
    """Return the words of a command, as a shell does."""
    return shlex.split(command.replace(" \\\n", " "))


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_command_of_jobx_gives_the_same_arguments(arguments: dict[str, Any]) -> None:
    words = split(commands.run("w", "count", arguments))
    assert words[:3] == ["jobx", "run", "w/count"]
    assert parse_arguments("-a", words[4::2]) == arguments


@pytest.mark.parametrize("arguments", ARGUMENTS[:4])
def test_command_of_curl_posts_the_same_arguments(arguments: dict[str, Any]) -> None:
    words = split(commands.curl("http://h/job/w/count", arguments))
    assert words[:4] == ["curl", "http://h/job/w/count", "-H", "Content-Type: application/json"]
    assert json.loads(words[5]) == {"arguments": arguments}
