"""What handlers leave behind: nothing for another workflow, and for another request what is said.

Each row runs in one request; another request of the same workflow looks for it, and then one of
another workflow, in a node that has one executor at work at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import languages
from tests.support.authoring import define
from tests.support.leavings import JAVASCRIPT_ROWS, PYTHON_ROWS, SHELL_ROWS, SOON_ROWS, STAYS
from tests.support.live_node import LiveNode, live_node, pairs_of
from tests.support.waiting import eventually

PYTHON = """
def handler(code, look):
    yield Return()
    exec(code, {})
    yield "seen", repr(eval(look, {}))
"""
JAVASCRIPT = """
/**
 * Runs code.
 */
export async function* handler(code, look) {
  yield Return();
  await (0, eval)(`(async () => { ${code} })()`);
  yield ["seen", String(await (0, eval)(`(async () => (${look}))()`))];
}
"""
FIRST = "def handler(key, values):\n    yield key, values[0]\n"
SHELL = "#!/bin/sh\n# Runs code.\ncut -f 2 | sh | sed 's/^/seen\\t/'\n"
JOBS = {
    "python": ("py", "first"),
    "javascript": ("js", "first"),
    "shell": ("sh", "first"),
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNode]:
    folder = tmp_path_factory.mktemp("node")
    handlers = {"py": PYTHON, "js": JAVASCRIPT, "sh": SHELL, "first": FIRST}
    types = {"js": {"source_type": "javascript"}, "sh": {"source_type": "shell"}}
    for workflow in ("one", "two"):
        define(folder, handlers, JOBS, workflow, **types)
    with live_node(folder, node__executors=1) as started:
        yield started


def ask(node: LiveNode, workflow: str, language: str, code: str, look: str) -> Any:
    if language == "javascript":
        languages.JAVASCRIPT.need()
    arguments = {"code": code, "look": look}
    if language == "shell":
        arguments = {"code": f"{code}\n" if look == "" else f"{look}\n"}
    pairs = dict(pairs_of(node.post(language, arguments, workflow=workflow)))
    return pairs.get("seen")


NOTHING = {"python": "0", "javascript": "0", "shell": ""}


def rows(language: str, table: dict[str, tuple[str, str]]) -> list[Any]:
    return [pytest.param(language, *row, id=f"{language}: {name}") for name, row in table.items()]


ALL = [
    *rows("python", PYTHON_ROWS),
    *rows("javascript", JAVASCRIPT_ROWS),
    *rows("shell", SHELL_ROWS),
]


@pytest.mark.parametrize(("language", "code", "look"), ALL)
def test_another_request_does_not_find_it(
    node: LiveNode, language: str, code: str, look: str
) -> None:
    before = ask(node, "one", language, "", look)
    ask(node, "one", language, code, NOTHING[language])
    assert ask(node, "one", language, "", look) == before


@pytest.mark.parametrize(("language", "code", "look"), rows("javascript", SOON_ROWS))
def test_further_requests_do_not_find_it_for_long(
    node: LiveNode, language: str, code: str, look: str
) -> None:
    before = ask(node, "one", language, "", look)
    ask(node, "one", language, code, NOTHING[language])
    eventually(lambda: ask(node, "one", language, "", look) == before)


@pytest.mark.parametrize(("language", "code", "look"), [*ALL, *rows("python", STAYS)])
def test_another_workflow_does_not_find_it(
    node: LiveNode, language: str, code: str, look: str
) -> None:
    before = ask(node, "two", language, "", look)
    ask(node, "one", language, code, NOTHING[language])
    assert ask(node, "two", language, "", look) == before


@pytest.mark.parametrize(("language", "code", "look"), rows("python", STAYS))
def test_what_is_documented_to_stay_does(
    node: LiveNode, language: str, code: str, look: str
) -> None:
    ask(node, "one", language, code, NOTHING[language])
    assert ask(node, "one", language, "", look) == "True"


def test_executors_of_workflows_have_nothing_in_common(node: LiveNode) -> None:
    look = "__import__('os').getpid()"
    seen = {
        name: {ask(node, name, "python", "", look) for _ in range(3)} for name in ("one", "two")
    }
    assert not seen["one"] & seen["two"]
