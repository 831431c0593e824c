from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict

from jobx.errors import InvalidInput
from jobx.handlers.failures import Misuse
from jobx.handlers.languages import Checked, processor
from jobx.handlers.languages.guests import Guests
from jobx.handlers.languages.python_module import folder_of
from jobx.handlers.scope.arguments import Arguments
from jobx.handlers.scope.names import Scope
from jobx.handlers.tracebacks import of_exception, own_frames
from tests.support.frames import load

PYTHON = processor("python")
ROOT = Arguments({"a": 1, "b": "2"}, is_root=True)
PAIR = Arguments({"k": {"a": 3, "b": "4"}})


@pytest.fixture(autouse=True)
def _private_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _run(handler_type: str, source_code: str, *given: Any, **fields: Any) -> Any:
    loaded = PYTHON.load(
        asdict(load("h", handler_type, source_code, **fields)), Scope(), Guests(".")
    )
    return list(loaded.run(*given) or [])


def test_an_unknown_language_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        InvalidInput, match="the languages are executable, javascript, python, shell, wasm"
    ):
        processor("cobol")


@pytest.mark.parametrize(
    ("handler_type", "source_code", "checked"),
    [
        ("mapper", "yield 1", Checked()),
        ("mapper", "def handler(arguments): yield 1", Checked()),
        ("mapper", "def handler(key, value): yield 1", Checked()),
        (
            "mapper",
            "def handler(a, *, b=1): yield 1",
            Checked(parameters=("a", "b"), optional=("b",)),
        ),
        ("mapper", "def handler(): pass\nyield handler()", Checked()),
        ("reducer", "yield 1", Checked()),
        ("reducer", "return results", Checked()),
        ("reducer", "def handler(results): return results", Checked()),
        ("reducer", "def handler(word, counts): yield 1", Checked(per_key=True)),
        ("combiner", "def handler(key, values): raise ValueError", Checked(per_key=True)),
    ],
)
def test_a_check_tells_the_form(handler_type: str, source_code: str, checked: Checked) -> None:
    assert PYTHON.check(source_code, handler_type) == checked


@pytest.mark.parametrize(
    ("handler_type", "source_code", "where", "reason"),
    [
        ("mapper", "x = 1\ny =", "line 2", "invalid syntax"),
        ("mapper", "yield 1\nbreak", "line 2", "outside loop"),
        ("mapper", "\n\nfrom os import *", "line 3", "only allowed at module level"),
        ("mapper", "x = '\0'", "source", "null"),
        ("mapper", "x = '\udc80'", "source", "surrogates"),
        ("mapper", "async def handler(a): pass", "line 1", "cannot be async"),
        ("mapper", "def handler(*a): pass", "line 1", "named parameters only"),
        ("reducer", "import os\ndef handler(a, b, c): pass", "line 2", "takes"),
        ("reducer", "def handler(): pass", "line 1", "a reducer takes"),
    ],
)
def test_a_check_refuses_wrong_source_with_its_line(
    handler_type: str, source_code: str, where: str, reason: str
) -> None:
    with pytest.raises(InvalidInput, match=reason) as refused:
        PYTHON.check(source_code, handler_type)
    assert where in refused.value.args[0]


def test_a_check_runs_nothing() -> None:
    PYTHON.check("raise SystemExit\ndef handler(arguments): yield 1", "mapper")


@pytest.mark.parametrize(
    ("source_code", "given", "expected"),
    [
        ("'''Doc.'''\nfor pair in arguments: yield pair", ROOT, [("a", 1), ("b", "2")]),
        ("from __future__ import annotations\nimport math\nyield math.pi > 3", ROOT, [True]),
        ("if False: yield", ROOT, []),
        ("def handler(arguments): return [arguments['a']]", ROOT, [1]),
        ("def handler(b, a): yield a, b", ROOT, [(1, "2")]),
        ("def handler(b, a): yield a, b", PAIR, [(3, "4")]),
        ("def handler(k): yield k", Arguments({"k": 5}), [5]),
        ("def handler(a, c=9, *, d=8): yield a, c, d", ROOT, [(1, 9, 8)]),
        ("def handler(key, value): yield key, len(value)", PAIR, [("k", 2)]),
        ("LIMIT = 3\ndef handler(arguments): yield LIMIT", ROOT, [3]),
        ("def handler(arguments): pass", ROOT, []),
    ],
)
def test_a_mapper_of_either_form_gets_its_arguments(
    source_code: str, given: Arguments, expected: list[Any]
) -> None:
    assert _run("mapper", source_code, given) == expected


def test_arguments_are_cast_when_there_is_a_spec() -> None:
    spec = [["a", "str"], ["b", "int"]]
    assert _run("mapper", "def handler(a, b): yield a, b", ROOT, argument_spec=spec) == [("1", 2)]
    assert _run("mapper", "yield arguments['b']", ROOT, argument_spec=spec) == [2]


def test_a_mapper_of_one_pair_refuses_several_arguments() -> None:
    with pytest.raises(Misuse, match="takes one argument, not 2"):
        _run("mapper", "def handler(key, value): yield key", ROOT)


@pytest.mark.parametrize(
    "source_code",
    ["for key, values in results: yield key, sum(values)", "def handler(results): return results"],
)
def test_a_reducer_over_results_gets_all_keys(source_code: str) -> None:
    assert len(_run("reducer", source_code, [("a", [1, 2]), ("b", [3])])) == 2


def test_a_traceback_shows_the_lines_of_the_author() -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        _run("mapper", "'''Doc.'''\n\nx = 0\nyield 1 / x", ROOT)
    (frame,) = own_frames(raised.value.__traceback__)
    assert frame[:3] == ("<handler h>", 4, "handler")


def test_a_traceback_quotes_the_version_that_ran() -> None:
    older = asdict(load("h", "mapper", "yield Return()\nraise ValueError(1)"))
    newer = older | {"version": "2", "source_code": "yield Return()\nx = 'newer'"}
    runs = [PYTHON.load(one, Scope(), Guests(".")).run for one in (older, newer)]
    with pytest.raises(ValueError, match="1") as raised:
        list(runs[0](ROOT) or [])
    assert "    raise ValueError(1)\n" in of_exception(raised.value, str)


def test_a_file_that_has_no_room_is_not_left_in_part(tmp_path: Path) -> None:
    folder = Path(folder_of(f"{tmp_path}"))
    folder.mkdir()
    (folder / "handler(h).py").symlink_to("/dev/full")
    assert _run("mapper", "import os\nyield 1, os.sep", ROOT) == [(1, "/")]
    assert not list(folder.iterdir())


def test_a_warning_about_style_is_not_an_error() -> None:
    assert _run("mapper", r"yield '\d'", ROOT) == [r"\d"]
