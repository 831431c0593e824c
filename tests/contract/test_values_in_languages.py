"""A value that a handler takes and yields is the same in every language, as far as it has it."""

from __future__ import annotations

import datetime
import decimal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobx import values
from jobx.handlers.execution.state import ExecutorState
from tests.support import edges, frames
from tests.support.guests import failed, hosting, pairs, run
from tests.support.languages import JAVASCRIPT, PYTHON, WASM

#: A program that answers each pair with itself.
PROGRAM = f"""#!{sys.executable}
import json, sys
for line in sys.stdin:
    call = json.loads(line)
    print('{{"return":true}}')
    print(json.dumps({{"pair": [call["key"], call["value"]]}}))
    print('{{"end":true}}', flush=True)
"""
ECHOES = {
    "python": PYTHON.echo,
    "javascript": JAVASCRIPT.echo,
    "executable": PROGRAM,
    "shell": "#!/bin/sh\ncat\n",
}
#: A NUL alone is left out: cat passes it, shells do not.
SHELL_TEXTS = [text for text in edges.TEXTS if text != "\0"]
VALUES = [*edges.VALUES, edges.nested(63), edges.nested(64), edges.nested(64, maps=True)]


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, list[Any]], Any]]:
    """Sends pairs through the echo of a language, in one batch; returns their segments."""
    with hosting(
        tmp_path_factory.mktemp("guests"), programs=("/bin", "/usr/bin", *_folders())
    ) as guests:
        states: dict[str, ExecutorState] = {}

        def go(language: str, sent: list[Any]) -> list[Any]:
            if language == "javascript":
                JAVASCRIPT.need()
            if language not in states:
                handler = frames.load("m", "mapper", ECHOES[language], source_type=language)
                states[language] = frames.state(Path(guests.folder), handler, guests=guests)
            state = states[language]
            segments = run(state, *map(list, sent), reducer=None)
            return [pairs(state, one)[0] if one[0] == "returned" else one for one in segments]

        yield go


def _folders() -> tuple[str, ...]:
    return (str(Path(sys.executable).parent), str(Path(sys.executable).resolve().parent))


def in_javascript(value: Any) -> Any:
    """Return what a value is that was in JavaScript: see "Values" in docs/languages.md."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return value if repr(value) == "-0.0" else int(value)
    if isinstance(value, datetime.datetime):
        return value.replace(microsecond=value.microsecond // 1000 * 1000)
    if isinstance(value, list | tuple):
        return type(value)(map(in_javascript, value))
    if isinstance(value, dict):
        return {in_javascript(key): in_javascript(item) for key, item in value.items()}
    return value


def in_shell(value: Any) -> Any:
    """Return what a value is that was a cell: text but for numbers, see docs/languages.md."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and "." in repr(value) and "inf" not in repr(value):
        return value
    text = value if isinstance(value, str) else values.pack(value) and _json(value)
    return int(text) if text in ("1", "-0") else text


def _json(value: Any) -> str:
    from jobx.handlers.languages import lines

    return lines.dump(value).decode().rstrip("\n")


def _unordered(value: Any) -> Any:
    """Return a value with maps as JavaScript orders them: keys that are numbers first."""
    if isinstance(value, dict):
        return {
            key: _unordered(value[key])
            for key in sorted(value, key=lambda key: repr((type(key).__name__, key)))
        }
    return list(map(_unordered, value)) if isinstance(value, list) else value


@pytest.mark.parametrize("language", ["python", "executable"])
@pytest.mark.parametrize("value", VALUES, ids=lambda one: repr(one)[:30])
def test_a_value_comes_back_from_a_handler_with_its_type(
    echo: Callable[..., Any], language: str, value: Any
) -> None:
    ((_, back),) = echo(language, [(1, value)])
    assert edges.same(back, values.unpack(values.pack(value)))


@pytest.mark.parametrize("value", VALUES, ids=lambda one: repr(one)[:30])
def test_a_value_comes_back_from_javascript_as_the_page_says(
    echo: Callable[..., Any], value: Any
) -> None:
    ((_, back),) = echo("javascript", [(1, value)])
    expected = values.unpack(values.pack(in_javascript(value)))
    assert edges.same(_unordered(back), _unordered(expected))


@pytest.mark.parametrize(
    "value", [*edges.INTEGERS, *edges.FLOATS, *SHELL_TEXTS, [1, "a"], {"a": None}, True, None]
)
def test_a_value_comes_back_from_a_filter_as_the_page_says(
    echo: Callable[..., Any], value: Any
) -> None:
    ((_, back),) = echo("shell", [("k", value)])
    assert edges.same(back, in_shell(value))


@pytest.mark.parametrize("language", ["python", "executable", "javascript"])
@given(sent=st.lists(st.tuples(edges.some_keys, edges.some_values), min_size=5, max_size=20))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_pair_comes_back_from_a_handler(
    echo: Callable[..., Any], language: str, sent: list[Any]
) -> None:
    for (key, value), back in zip(sent, echo(language, sent), strict=True):
        if back[0] == "failed":
            assert language == "javascript", back
            assert failed(back)["kind"] == "pair"  # keys that JavaScript does not tell apart
            continue
        given_key, given_value, there = key, value, back[1]
        if language == "javascript":
            given_key, given_value = in_javascript(key), _unordered(in_javascript(value))
            there = _unordered(there)
        assert values.key_identity(back[0]) == values.key_identity(given_key)
        assert edges.same(there, values.unpack(values.pack(given_value)))


#: What JavaScript may give that is no value, and what is said of it.
GIVEN = {
    "new Decimal('1.2.3')": "ConversionSyntax",
    "new Decimal('NaN')": "NaN",
    f"new Decimal('{'9' * 4301}')": "4300 digits",
    "10n ** 4300n": "4300 digits",
    "new Date(8.64e15)": "years 1 to 9999",
    "new Map([[[1], 2]])": "list",
    "new Map([[new Date(0), 1], [new Date(0), 2]])": "twice",
    "new Map(Array.from({length: 300}, (_, n) => [(2n ** 61n - 1n) * BigInt(n + 1), 0]))": "hash",
    "NaN": "NaN",
    "'\\ud800'": "surrogate",
}


@pytest.mark.parametrize("given_", GIVEN)
def test_what_javascript_gives_that_is_no_value_fails_by_pair(tmp_path: Path, given_: str) -> None:
    JAVASCRIPT.need()
    body = f"yield Return();\n yield ['a', 1];\n yield ['b', {given_}];"
    source = f"export function* handler(key, value) {{\n {body}\n}}"
    with hosting(tmp_path) as guests:
        state = frames.state(
            tmp_path, frames.load("m", "mapper", source, source_type="javascript"), guests=guests
        )
        for _ in range(2):
            failure = failed(run(state, [1, 1], reducer=None)[0])
            assert (failure["kind"], failure["pair"]) == ("pair", 1)
            assert GIVEN[given_] in failure["message"]


@pytest.mark.parametrize("argument", ["new Decimal('x')", "new Map([[[1], 2]])", "10n ** 4300n"])
def test_what_javascript_calls_with_that_is_no_value_is_an_error_of_its_line(
    tmp_path: Path, argument: str
) -> None:
    JAVASCRIPT.need()
    source = (
        f"export function* handler(key, value) {{\n yield Return();\n S_SET('k', {argument});\n}}"
    )
    with hosting(tmp_path) as guests:
        state = frames.state(
            tmp_path, frames.load("m", "mapper", source, source_type="javascript"), guests=guests
        )
        failure = failed(run(state, [1, 1], reducer=None)[0])
        assert failure["kind"] == "author"
        assert "line 3" in failure["traceback"]


@pytest.mark.parametrize(
    "body",
    [
        "const e = new Error('\\ud800'); e.name = '\\ud800'; throw e;",
        "throw '\\ud800';",
        "yield Map('\\ud800');",
        "Object.defineProperty(handler, 'name', {value: '\\ud800'}); null.x;",
    ],
)
def test_text_that_is_none_in_what_javascript_says_ends_no_process(
    tmp_path: Path, body: str
) -> None:
    JAVASCRIPT.need()
    source = f"export function* handler(key, value) {{\n {body}\n}}"
    with hosting(tmp_path) as guests:
        state = frames.state(
            tmp_path, frames.load("m", "mapper", source, source_type="javascript"), guests=guests
        )
        failure = failed(run(state, [1, 1], reducer=None)[0])
        assert failure["kind"] in ("author", "protocol")


def test_many_long_values_of_a_key_reach_javascript(tmp_path: Path) -> None:
    JAVASCRIPT.need()
    source = "export function* handler(key, values) { yield [key, values.length]; }"
    with hosting(tmp_path) as guests:
        body = "yield Return()\n for n in range(80): yield 'k', 'x' * (1 << 20)"
        mapper = f"def handler(key, value):\n {body}"
        loads = [
            frames.load("m", "mapper", mapper),
            frames.load("r", "reducer", source, source_type="javascript"),
        ]
        state = frames.state(tmp_path, *loads, guests=guests, spill_bytes=1 << 30)
        assert pairs(state, run(state, [1, 1])[0]) == [("k", 80)]


#: Lines of a module in WebAssembly, and what is said of each that is no pair of values.
WRITTEN = {
    '{"pair":["k",{"$decimal":"1.10"}]}': decimal.Decimal("1.10"),
    '{"pair":["k",{"$bytes":"AP8="}]}': b"\0\xff",
    '{"pair":["k",{"$map":[[1,{"$float":"-inf"}]]}]}': {1: float("-inf")},
    '{"pair":["k",-0.0]}': -0.0,
    '{"pair":["k",18446744073709551616]}': 1 << 64,
    '{"pair":["k",{"$timestamp":"0001-01-01T00:00:00+00:00"}]}': edges.TIMESTAMPS[0],
    '{"pair":["k",NaN]}': "NaN",
    '{"pair":["k",Infinity]}': "Infinity",
    '{"pair":["k",1e999]}': "out of range",
    '{"pair":["k","\\ud800"]}': "surrogate",
    '{"pair":["k",{"a":1,"a":2}]}': "twice",
    '{"pair":["k",{"$timestamp":"0001-01-01T00:00:00+02:00"}]}': "years 1 to 9999",
    '{"pair":["k",' + "1" * 4301 + "]}": "4300 digits",
    '{"pair":["k",' + "[" * 65 + "]" * 65 + "]}": "deeper than 64",
}


@pytest.mark.parametrize("line", WRITTEN, ids=lambda one: one[:50])
@pytest.mark.parametrize("language", ["wasm", "executable"])
def test_a_line_of_a_program_is_a_pair_of_values_or_fails_by_name(
    tmp_path: Path, language: str, line: str
) -> None:
    from tests.support.languages import wat

    if language == "wasm":
        WASM.need()
    script = f'#!/bin/sh\nread -r call\ncat <<\'E\'\n{{"return":true}}\n{line}\n{{"end":true}}\nE\n'
    source = wat('{"return":true}\n', f"{line}\n") if language == "wasm" else script
    with hosting(tmp_path) as guests:
        state = frames.state(
            tmp_path, frames.load("m", "mapper", source, source_type=language), guests=guests
        )
        (segment,) = run(state, [1, 1], reducer=None)
        expected: Any = WRITTEN[line]
        if segment[0] == "returned":
            ((_, back),) = pairs(state, segment)
            assert edges.same(back, expected)
        else:
            failure = failed(segment)
            assert failure["kind"] in ("pair", "protocol")
            assert expected in failure["message"]
