"""Handlers in the forms that mr had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict

from jobx.handlers.languages import processor
from jobx.handlers.languages.guests import Guests
from jobx.handlers.scope.mr_form import is_mr_form
from jobx.handlers.scope.names import Scope
from tests.support import frames
from tests.support.guests import children, pairs, run

MAPPER = [("arguments", "list")]
REDUCER = [("results", "list")]


def outcome(folder: Path, mapper: str, reducer: str = "for p in results: yield p") -> Any:
    """Return the pairs of a step of handlers in the form of mr, and what it captured."""
    handlers = (
        frames.load("m", "mapper", mapper, argument_spec=MAPPER),
        frames.load("r", "reducer", reducer, argument_spec=REDUCER),
    )
    made = frames.state(folder, *handlers)
    (segment,) = run(made, ["k", 144], reducer="r")
    return pairs(made, segment), segment


def given(folder: Path, expression: str, before: str = "") -> Any:
    """Return the value of an expression in a mapper."""
    found, segment = outcome(
        folder, f"{before}\nyield MrConfigureToReturn()\nyield 0, {expression}"
    )
    assert len(found) == 1, segment
    return found[0][1][0]


@pytest.mark.parametrize(
    ("source_type", "handler_type", "spec", "is_it"),
    [
        ("python", "mapper", [["arguments", "list"]], True),
        ("python", "combiner", [("results", "list")], True),
        ("python", "reducer", [("results", "list")], True),
        ("python", "mapper", [("results", "list")], False),
        ("python", "reducer", [("arguments", "list")], False),
        ("python", "mapper", [("arguments", "dict")], False),
        ("python", "mapper", [("arguments", "list"), ("a", "int")], False),
        ("python", "mapper", [], False),
        ("javascript", "mapper", [("arguments", "list")], False),
    ],
)
def test_the_form_is_told_by_the_argument_spec(
    source_type: str, handler_type: str, spec: list[Any], is_it: bool
) -> None:
    assert is_mr_form(source_type, handler_type, spec) is is_it


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("arguments", [["k", 144]]),
        ("arguments[0]", ["k", 144]),
        ("arguments[0][1]", 144),
        ("len(arguments)", 1),
        ("dict(arguments)['k']", 144),
        ("[k for (k, v) in arguments]", ["k"]),
    ],
)
def test_arguments_are_a_list_of_pairs(tmp_path: Path, expression: str, value: object) -> None:
    assert given(tmp_path, expression) == value


def test_results_are_a_list_that_can_be_printed_and_read_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mapper = "yield MrConfigureToReturn()\nyield 2, 3\nyield 2, 4\nyield 1, 5"
    reducer = "print('%s' % (results,))\nreturn [(k, sum(v)) for k, v in results[::-1]]"
    assert outcome(tmp_path, mapper, reducer)[0] == [(1, 5), (2, 7)]
    assert capsys.readouterr().out == "[(1, [5]), (2, [3, 4])]\n"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("list({'a': 1}.iteritems())", [["a", 1]]),
        ("list({'a': 1}.iterkeys()) + list({'a': 1}.itervalues())", ["a", 1]),
        ("{'a': 1}.has_key('a')", True),
        ("[isinstance(x, basestring) for x in (u'a', 1)]", [True, False]),
        ("list(xrange(3)) + [long(4), unicode(5), unichr(54)]", [0, 1, 2, 4, "5", "6"]),
        ("[cmp(1, 2), cmp(2, 1), reduce(lambda a, b: a + b, [1, 2])]", [-1, 1, 3]),
    ],
)
def test_names_of_python_2_are_there(tmp_path: Path, expression: str, value: object) -> None:
    assert given(tmp_path, expression) == value


def test_a_method_of_the_file_itself_keeps_its_name(tmp_path: Path) -> None:
    own = "class Own(object):\n    def iteritems(self):\n        return [7]\n"
    assert given(tmp_path, "Own().iteritems()", own) == [7]


def test_a_reducer_may_return_what_iteritems_gives(tmp_path: Path) -> None:
    reducer = "tally = {}\nfor k, vs in results:\n    tally[k] = max(vs)\nreturn tally.iteritems()"
    assert outcome(tmp_path, "yield MrConfigureToReturn()\nyield 1, 2", reducer)[0] == [(1, 2)]


def test_run_gives_the_exit_code_and_writes_the_output(tmp_path: Path) -> None:
    before = "code = RUN(['sh', '-c', 'cat; exit 3'], input_data='out', success_code=3)"
    assert given(tmp_path, "code", before) == 3


def test_run_raises_a_value_error_for_another_code(tmp_path: Path) -> None:
    before = "try:\n    RUN(['false'])\nexcept ValueError:\n    failed = True"
    assert given(tmp_path, "failed", before) is True


def test_run_has_the_environment_that_it_is_given_and_no_more(tmp_path: Path) -> None:
    before = "code = RUN(['/bin/sh', '-c', 'test \"$A$HOME\" = 1'], env={'A': '1'})"
    assert given(tmp_path, "code", before) == 0


@pytest.mark.parametrize(
    "expression",
    ["dict(S_LIST())", "dict(ctx.session_list())", "{'a': S_GET('a'), 'b': ctx.session_get('b')}"],
)
def test_a_session_is_listed_as_pairs(tmp_path: Path, expression: str) -> None:
    before = "S_SET('a', 1)\nctx.session_set('b', [2])"
    assert given(tmp_path, expression, before) == {"a": 1, "b": [2]}


def test_the_module_of_markers_can_be_imported(tmp_path: Path) -> None:
    mapper = "import mr.handlers.scope\nyield mr.handlers.scope.MrConfigureToReturn()\nyield 1, 2"
    assert outcome(tmp_path, mapper)[0] == [(1, [2])]


def test_the_step_may_be_given_by_the_name_that_mr_had(tmp_path: Path) -> None:
    mapper = "yield MrConfigureToMap(next_step_name='s2')\nyield 1, 2"
    made = frames.state(tmp_path, frames.load("m", "mapper", mapper, argument_spec=MAPPER))
    (segment,) = run(made, ["k", 1], reducer=None)
    assert children(made, segment) == [[1, 2]]


def test_a_combiner_gets_a_list_as_well(tmp_path: Path) -> None:
    source = "yield len(results), [k for k, _ in results[1:]]"
    handler = frames.load("c", "combiner", source, argument_spec=REDUCER)
    loaded = processor("python").load(asdict(handler), Scope(), Guests(""))
    assert list(loaded.run([(1, [2]), (3, [4])]) or ()) == [(2, [3])]


def test_without_the_spec_of_mr_the_names_are_those_of_now(tmp_path: Path) -> None:
    source = "S_SET('a', RUN(['echo', 'b']))\nyield Return()\nyield 0, [S_LIST(), S_GET('a')]"
    made = frames.state(tmp_path, frames.load("m", "mapper", source))
    (segment,) = run(made, ["k", 1], reducer=None)
    assert pairs(made, segment) == [(0, [["a"], "b\n"])]
