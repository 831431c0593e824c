"""Templates of new handlers, by language and type, and of a folder with a workflow of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from jobx import model
from jobx.errors import InvalidInput
from jobx.handlers import languages
from jobx.handlers.authoring import strict_yaml
from jobx.handlers.authoring.declaration import FILE
from jobx.handlers.authoring.workflow_folder import HANDLERS

_MAPPER: Final = """\
What the mapper does, in a sentence.
**
handler_type: mapper
argument_spec:
  - [text, str]
examples:
  - arguments: {text: "to be or not to be"}
    expected: [[be, 1], [be, 1], [not, 1], [or, 1], [to, 1], [to, 1]]
"""
_REDUCER: Final = """\
What the reducer does, in a sentence.
**
handler_type: reducer
examples:
  - arguments: [[be, [1, 1]], [to, [1]]]
    expected: [[be, 2], [to, 1]]
"""


@dataclass(frozen=True, slots=True)
class _Language:
    """The parts that differ between languages; a combiner has the body of a reducer.

    Attributes:
        before: Text before the header.
        mark: Start of each line of the header.
        after: Text after the header.
        mapper: Body of a mapper.
        reducer: Body of a reducer.
    """

    before: str
    mark: str
    after: str
    mapper: str
    reducer: str


_LANGUAGES: Final[Mapping[str, _Language]] = {
    "python": _Language(
        before='"""\n',
        mark="",
        after='"""\n\n\n',
        mapper="""\
def handler(text):
    yield Return()
    for word in text.split():
        yield word, 1
""",
        reducer="""\
def handler(key, values):
    yield key, sum(values)
""",
    ),
    "javascript": _Language(
        before="/**\n",
        mark=" * ",
        after=" */\n\n",
        mapper="""\
export function* handler(text) {
  yield Return();
  for (const word of text.split(' ')) yield [word, 1];
}
""",
        reducer="""\
export function* handler(key, values) {
  yield [key, values.reduce((sum, value) => sum + value, 0)];
}
""",
    ),
    "shell": _Language(
        before="#!/bin/sh\n",
        mark="# ",
        after="\n",
        mapper="""\
cut -f 2 | tr ' ' '\\n' | sed 's/$/\\t1/'
""",
        reducer="""\
awk -F '\\t' '{ sum[$1] += $2 } END { for (key in sum) print key "\\t" sum[key] }'
""",
    ),
    "executable": _Language(
        before="#!/usr/bin/env python3\n",
        mark="# ",
        after="""
import json
import sys


def say(**line):
    print(json.dumps(line), flush=True)


""",
        mapper="""\
for line in sys.stdin:
    call = json.loads(line)
    say(**{"return": True})
    for word in call["arguments"]["text"].split():
        say(pair=[word, 1])
    say(end=True)
""",
        reducer="""\
for line in sys.stdin:
    call = json.loads(line)
    if "key" in call:
        say(pair=[call["key"], sum(call["values"])])
    elif "end" in call:
        say(end=True)
""",
    ),
}


def starting_file(source_type: str, handler_type: model.HandlerType) -> str:
    """Return the template of a handler; its examples hold.

    Raises:
        InvalidInput: There is no template in that language.
    """
    language = _LANGUAGES.get(source_type)
    if language is None:
        reason = f"has no template; these languages have one: {', '.join(sorted(_LANGUAGES))}"
        raise InvalidInput("language", repr(source_type), reason)
    is_mapper = handler_type == "mapper"
    header = _MAPPER if is_mapper else _REDUCER.replace("reducer", handler_type)
    lines = [f"{language.mark}{line}".rstrip() for line in header.splitlines()]
    body = language.mapper if is_mapper else language.reducer
    return "\n".join([language.before + lines[0], *lines[1:], language.after + body])


_WORKFLOW: Final = """\
description: Counts the words of a text.

# A step binds a mapper, a combiner if it has one, and a reducer: files in handlers/.
steps:
  words:
    description: The words of a text.
    mapper: count_words
    reducer: add_up

# A job is what requests are posted to. It begins with a step.
jobs:
  count:
    description: Count the words of a text.
    step: words
"""
_TEST: Final = """\
from pathlib import Path

from jobx.testing import LocalWorkflow


def test_words_are_counted(tmp_path):
    with LocalWorkflow.of(Path(__file__).parent, tmp_path) as workflow:
        result = workflow.run("count", {"text": "to be or not to be"})

    assert result.pairs == [("be", 2), ("not", 1), ("or", 1), ("to", 2)]
"""


def starting_folder(workflow: str, language: str) -> dict[str, bytes]:
    """Return the files of a workflow to start from, by path; it runs as it is.

    Raises:
        InvalidInput: There is no template in that language.
    """
    ending = languages.ending_of(language) or ""
    test = f"test_{workflow.translate({ord(mark): '_' for mark in '.-'})}.py"
    files = {
        FILE: strict_yaml.write({"workflow": workflow}) + _WORKFLOW,
        f"{HANDLERS}/count_words{ending}": starting_file(language, "mapper"),
        f"{HANDLERS}/add_up{ending}": starting_file(language, "reducer"),
        test: _TEST,
    }
    return {path: text.encode() for path, text in files.items()}
