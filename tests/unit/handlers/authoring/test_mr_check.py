from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from jobx.errors import InvalidInput
from jobx.handlers.authoring.mr_check import check

HEADER = '''"""
Adds.

**
argument_spec:
    -
        name: results
        type: list

handler_type: reducer
required_capability: none
"""
'''
GOOD = HEADER + "for k, v in results:\n    yield k, sum(v)\n"
FACTORY = """import mr.handlers.scope

class Of(mr.handlers.scope.WorkflowScopeFactory):
    def get_handler_scope_factory(self, workflow):
        return Names(workflow.description)
"""
#: Files that are found as a whole, by rule: path, text, line.
FILES = {
    "syntax": ("a.py", HEADER + "for k, v in results:\n    print k\n", 14),
    "argument-type": ("a.py", GOOD.replace("type: list", "type: dict"), 5),
    "name": ("Reduce/sum.py", GOOD, 1),
    "folder": ("_old/sum.py", GOOD, 1),
    "language": ("tool.sh", "echo\n", 1),
    "encoding": ("a.py", GOOD.encode() + b"\n# \xe9\n", 16),
    "refused": ("a.py", GOOD + "return {}\n", 15),
    "factory": ("site_scope.py", FACTORY, 5),
}
#: Files that mr passed over, or that are as they were.
LEFT_ALONE = {
    "reduce/sum.py": GOOD,
    "_sum.py": "print 1",
    ".sum.py": "print 1",
    ".git/sum.py": "print 1",
    "sum": "print 1",
    "notes.txt": "print 1",
    "tool.sh": "# Adds.\n# **\n# handler_type: reducer\n",
    "_lib/tool.sh": "echo",
    "site_scope.py": FACTORY.replace(".description", ".workflow_name"),
}


def put(folder: Path, path: str, text: str | bytes) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(text.encode() if isinstance(text, str) else text)


@pytest.mark.parametrize("rule", FILES)
def test_a_file_is_found_by_rule_and_line(rule: str, tmp_path: Path) -> None:
    path, text, line = FILES[rule]
    put(tmp_path, path, text)
    found = check(tmp_path)
    assert [(one.file, one.line, one.rule) for one in found] == [(path, line, rule)]
    assert str(found[0]).startswith(f"{path}:{line}: {found[0].what}. Write: ")


@pytest.mark.parametrize("path", LEFT_ALONE)
def test_a_file_that_needs_nothing_is_left_alone(path: str, tmp_path: Path) -> None:
    put(tmp_path, path, LEFT_ALONE[path])
    assert check(tmp_path) == []


def test_findings_are_in_the_order_of_files_and_lines(tmp_path: Path) -> None:
    put(tmp_path, "b.py", GOOD + "x = g.next()\nx = 1 / 2\n")
    put(tmp_path, "a.py", GOOD + "x = 1 / 2\n")
    assert [str(one).split(": ")[0] for one in check(tmp_path)] == ["a.py:15", "b.py:15", "b.py:16"]


def test_a_variable_that_handlers_may_see_is_no_difference(tmp_path: Path) -> None:
    put(tmp_path, "a.py", GOOD + "import os\nx = os.environ['STAGE']\n")
    assert [one.rule for one in check(tmp_path)] == ["environment"]
    assert check(tmp_path, ("STAGE",)) == []


def test_warnings_are_about_handlers_of_mr_that_can_be_stored(tmp_path: Path) -> None:
    new = '"""Adds.\n**\nhandler_type: reducer\n"""\nyield 1, 3 / 2\n'
    for path, text in (("new.py", new), ("old.py", GOOD + "x = 3 / 2\n")):
        put(tmp_path, path, text)
    put(tmp_path, "Bad.py", GOOD + "print 1\n")
    put(tmp_path, "tool.sh", "echo")
    assert [one.file for one in check(tmp_path, only_mr_form=True)] == ["old.py"]


def test_what_is_no_file_is_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.py")
    (tmp_path / "b.py").symlink_to("nowhere")
    (tmp_path / "c.py").symlink_to("x" * 300)
    assert check(tmp_path) == []


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="folder of handlers"):
        check(tmp_path / "none")


def test_a_header_in_json_is_read_as_well(tmp_path: Path) -> None:
    spec = [{"name": "arguments", "type": "list"}]
    fields = {"argument_spec": spec, "handler_type": "mapper", "required_capability": "none"}
    body = "yield MrConfigureToReturn()\nx = 1 / 2\n"
    put(tmp_path, "a.py", f'"""Maps.\n**json\n{json.dumps(fields)}\n"""\n{body}')
    assert [one.line for one in check(tmp_path, only_mr_form=True)] == [6]
