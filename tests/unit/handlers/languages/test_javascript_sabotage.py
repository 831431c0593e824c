"""Handlers in JavaScript that break the language: results stay exact, later ones are whole."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from jobx.handlers.execution.state import ExecutorState
from jobx.handlers.languages.guests import Guests
from jobx.work import LoadHandler
from tests.support import frames
from tests.support.guests import failed, hosting, pairs, run
from tests.support.languages import JAVASCRIPT

pytestmark = pytest.mark.timeout(20)


@pytest.fixture
def guests(tmp_path: Path) -> Iterator[Guests]:
    JAVASCRIPT.need()
    with hosting(tmp_path) as made:
        yield made


#: What a handler does before it gives its pairs.
SABOTAGES: Final = (
    *(
        f"{owner}.prototype.{name} = () => undefined;"
        for owner, names in {
            "Array": "push pop shift map filter join includes some every entries values slice",
            "Map": "get set has forEach entries clear",
            "Set": "add has values",
            "String": "split slice indexOf includes charCodeAt startsWith replace toWellFormed",
            "RegExp": "exec test",
            "Date": "getTime toISOString toJSON",
            "Promise": "then catch finally",
            "Buffer": "toString write subarray base64Slice base64Write utf8Write utf8Slice",
            "Uint8Array": "subarray",
            "TextEncoder": "encode",
            "Function": "call apply bind",
            "Error": "toString",
            "Decimal": "toString",
        }.items()
        for name in names.split()
    ),
    *(
        f"{owner}.{name} = () => undefined;"
        for owner, names in {
            "JSON": "parse stringify",
            "Object": "keys entries fromEntries assign hasOwn getPrototypeOf defineProperty is",
            "Reflect": "apply ownKeys defineProperty getPrototypeOf",
            "Array": "isArray from",
            "Number": "isSafeInteger isInteger isFinite",
            "Buffer": "from alloc allocUnsafe concat byteLength isBuffer",
            "Date": "parse",
            "Math": "abs",
            "process": "reallyExit nextTick cwd",
            "performance": "now",
        }.items()
        for name in names.split()
    ),
    *(
        f"{owner}.prototype[Symbol.iterator] = function* () {{}};"
        for owner in ("Array", "Map", "Set", "String")
    ),
    *(
        f"Object.getPrototypeOf({made}).next = () => ({{ done: true }});"
        for made in ("[].values()", "new Map().values()", "new Set().values()", "''.matchAll(/a/g)")
    ),
    "Object.getPrototypeOf(function* () {}).prototype.next = () => ({ done: true });",
    "Object.getPrototypeOf(async function* () {}).prototype.next = () => ({ done: true });",
    "Object.getPrototypeOf(Object.getPrototypeOf([].values()))[Symbol.iterator] = () => [];",
    "String.prototype[Symbol.split] = () => [];",
    "RegExp.prototype[Symbol.replace] = () => '';",
    "Object.defineProperty(RegExp.prototype, 'flags', { get: () => '' });",
    *(
        "Object.defineProperty(Object.getPrototypeOf(Uint8Array.prototype),"
        f" '{name}', {{ get: () => 1 }});"
        for name in ("buffer", "byteOffset")
    ),
    *(
        f"Object.prototype.{name} = () => 1;"
        for name in ("toJSON", "key", "end", "answer", "raise", "restore", "arguments", "then")
    ),
    *(
        f"Object.defineProperty(Object.prototype, '{name}', {{ get: () => 7, set() {{}} }});"
        for name in ("0", "1", "value", "get", "step", "text", "kind", "call", "url", "done")
    ),
    "Object.defineProperty(Array.prototype, '0', { get: () => 7, set() {} });",
    "Promise.prototype.constructor = null; Promise.prototype.then = () => {};",
    "Object.defineProperty(Error, Symbol.hasInstance, { value: () => true });",
    "Object.setPrototypeOf(Return().constructor, null);",
    "Error.captureStackTrace = () => { throw 1; };",
    "for (const name of Object.getOwnPropertyNames(globalThis))"
    " if (name !== 'undefined') try { delete globalThis[name]; } catch {}",
    "fs.writeSync = fs.readSync = () => 1;",
)

#: What leaves node itself unable to load a module: the call that needs one fails.
FATAL: Final = (
    *(
        "Object.defineProperty(Object.getPrototypeOf(Uint8Array.prototype),"
        f" '{name}', {{ get: () => 1 }});"
        for name in ("length", "byteLength")
    ),
    "Object.defineProperty(Object.prototype, 'path', { get: () => 7, set() {} });",
    "Object.defineProperty(Promise.prototype, 'then', { value() {}, configurable: false });",
    "Object.defineProperty(Object.prototype, 'errno', { value: 5 });",
    "Object.defineProperty(Object.prototype, 'then', { value() {} });",
)

#: What a handler gives that it made before.
GIVEN: Final = """[1, 1.5, -0, Infinity, 'grüße', true, null, 2n ** 64n, new Uint8Array([0, 255]),
  new Map([[1, 'one'], ['two', 2]]), new Map([['$bytes', 1]]), new Date(0), new Decimal('1.10'),
  { a: { b: [1] } }, [1, [2, 'x']]]"""
SENT: Final = [
    *(2**64, b"\x00\xff", {1: "one", "two": 2}, {"$bytes": 1}, decimal.Decimal("1.10"), 1.5),
    *(datetime.datetime.fromtimestamp(0, datetime.UTC), float("inf"), {"a": {"b": [1]}}, "grüße"),
]
WANTED: Final = [
    *(1, 1.5, -0.0, float("inf"), "grüße", True, None, 2**64, b"\x00\xff"),
    *({1: "one", "two": 2}, {"$bytes": 1}, datetime.datetime.fromtimestamp(0, datetime.UTC)),
    *(decimal.Decimal("1.10"), {"a": {"b": [1]}}, [1, [2, "x"]]),
]
PASSING_ON: Final = "yield [key, values[0]];"


def load(name: str, kind: str, body: str, parameters: str, head: str = "") -> LoadHandler:
    source = f"{head}\nexport function* handler({parameters}) {{\n{body}\n}}"
    return frames.load(name, kind, source, source_type="javascript")


def state(guests: Guests, *handlers: LoadHandler) -> ExecutorState:
    return frames.state(Path(guests.folder), *handlers, guests=guests)


def sabotaging(change: str, rest: str, *, name: str = "m") -> LoadHandler:
    head = f"import fs from 'node:fs';\nconst [GIVEN, E] = [{GIVEN}, Error];"
    return load(name, "mapper", f"yield Return();\n{change}\n{rest}", "key, value", head)


@pytest.mark.parametrize("change", SABOTAGES)
def test_pairs_are_exact_whatever_a_handler_breaks(guests: Guests, change: str) -> None:
    giving = "yield [-1, value];\nfor (let at = 0; at < GIVEN.length; at++) yield [at, GIVEN[at]];"
    handlers = [
        sabotaging(change, giving),
        load("c", "combiner", PASSING_ON, "key, values"),
        load("r", "reducer", PASSING_ON, "key, values"),
    ]
    (segment,) = run(state(guests, *handlers), [1, SENT], combiner="c")
    found = dict(pairs(state(guests), segment))
    assert found == {-1: SENT, **dict(enumerate(WANTED))}


@pytest.mark.parametrize("change", FATAL)
def test_a_call_fails_where_a_handler_broke_what_node_needs(guests: Guests, change: str) -> None:
    combining = load("c", "combiner", PASSING_ON, "key, values")
    made = state(guests, sabotaging(change, "yield [1, 2];"), combining)
    failure = failed(run(made, [1, 1], combiner="c", reducer=None)[0])
    assert failure["kind"] in ("author", "protocol")


@pytest.mark.parametrize("change", SABOTAGES)
def test_an_error_is_told_whatever_a_handler_breaks(guests: Guests, change: str) -> None:
    made = state(guests, sabotaging(change, "const error = new E('boom');\nthrow error;"))
    failure = failed(run(made, [1, 1])[0])
    assert (failure["kind"], failure["message"]) == ("author", "boom")


@pytest.mark.parametrize("change", SABOTAGES)
def test_names_of_the_scope_answer_whatever_a_handler_breaks(guests: Guests, change: str) -> None:
    asking = "S_SET('a', GIVEN);\nyield [0, S_GET('a')];\nyield [1, S_GET('b', 7)];"
    made = state(guests, sabotaging(change, asking))
    assert pairs(made, run(made, [1, 1], reducer=None)[0]) == [(0, WANTED), (1, 7)]


CLEAN: Final = """
const all = [];
for (const [at, one] of new Map([[1, [1, 2]], [2, new Set([3])]])) all.push(at, ...one);
const [head, ...rest] = 'a,b'.split(',').map((one) => one.replace(/a/g, 'c'));
yield ['seen', [all, head, rest, JSON.stringify({ a: [1] }), Object.keys({ x: 1 }), path.sep]];
for (const one in {}) yield ['left', one];
"""


@pytest.mark.parametrize("change", SABOTAGES)
def test_the_next_request_finds_a_whole_language(guests: Guests, change: str) -> None:
    importing = "import path from 'node:path';"
    spoiling = load("n", "mapper", "yield Return();\npath.sep = '?';", "key, value", importing)
    clean = load("o", "mapper", f"yield Return();{CLEAN}", "key, value", importing)
    made = state(guests, sabotaging(change, ""), spoiling, clean)
    for name in ("m", "n"):
        run(made, [1, 1], reducer=None, mapper=name)
    (segment,) = run(made, [1, 1], reducer=None, mapper="o", request=frames.of_request("r2"))
    seen = [[1, 1, 2, 2, 3], "c", ["b"], '{"a":[1]}', ["x"], "/"]
    assert pairs(made, segment) == [("seen", seen)]
