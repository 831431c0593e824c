"""Ways to write a handler wrongly: each is refused or fails, with the line and what to do.

None of them may succeed: a request that lost something of what its handlers gave did not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobx.errors import InvalidInput
from jobx.handlers.languages import processor
from jobx.handlers.languages.guests import Guests
from tests.support import frames
from tests.support.guests import failed, hosting, pairs, run
from tests.support.languages import JAVASCRIPT

#: Language, type, source, line that is named, what the message says.
REFUSED = [
    ("python", "mapper", "x = 1", 1, "no function handler, no yield and no return"),
    ("python", "reducer", "def handel(key, values): yield 1", 1, "name this one handler"),
    ("python", "mapper", "x = 1\ndef process(a): yield a", 2, "name this one handler"),
    ("python", "mapper", "class handler: pass", 1, "is a function: def handler"),
    ("python", "mapper", "class A:\n def handler(self): yield 1", 2, "at the top level"),
    ("python", "mapper", "if True:\n def handler(a): yield a", 2, "at the top level"),
    ("python", "mapper", "handler = lambda a: [a]", 1, "is defined in its file"),
    ("python", "mapper", "from os import walk as handler", 1, "is defined in its file"),
    ("python", "reducer", "def handler(key, values):\n (key, sum(values))", 1, "gives nothing"),
    ("python", "reducer", "def handler(results): return None", 1, "gives nothing"),
    ("python", "reducer", "def handler(results): return", 1, "gives nothing"),
    ("python", "mapper", "def handler(a):\n if a: print(a)", 1, "gives nothing"),
    (
        "python",
        "mapper",
        "def handler(a):\n yield Return()\n return [a]",
        3,
        "in addition to its yields",
    ),
    ("python", "reducer", "yield 1, 1\nreturn results", 2, "in addition to its yields"),
    ("python", "mapper", "def handler(a):\n Return()\n yield a, 1", 2, "yield Return"),
    ("python", "mapper", "MrConfigureToMap('s')\nyield 1, 1", 1, "yield MrConfigureToMap"),
    (
        "python",
        "mapper",
        "def each():\n yield 1, 1\ndef handler(a):\n yield Return()\n each()",
        5,
        "yield from each",
    ),
    (
        "python",
        "reducer",
        "async def ask(): pass\ndef handler(key, values):\n ask()\n yield key, 1",
        3,
        "await ask",
    ),
    ("python", "mapper", "def handler(a): yield a\nyield Return()", 1, "nobody calls it"),
    ("python", "mapper", "async def handler(a): yield a", 1, "cannot be async"),
    ("python", "reducer", "def handler(values, key): yield key, 1", 1, "takes (key, values)"),
    ("python", "reducer", "def handler(results, session): yield 1, 1", 1, "takes (key, values)"),
    ("python", "mapper", "def handler(*arguments): yield 1", 1, "named parameters only"),
    ("javascript", "reducer", "function* handler(k, v) { yield [k, 1]; }", 1, "export function*"),
    ("javascript", "reducer", "\nexport function* handel(k, v) {}", 2, "export function*"),
    ("javascript", "reducer", "export const handler = (k, v) => [[k, 1]];", 1, "export function*"),
    ("javascript", "reducer", "\nexport function* handler(k, v) { [k, 1]; }", 2, "gives nothing"),
    ("javascript", "reducer", "export function handler(k, v) { [[k, 1]]; }", 1, "gives nothing"),
    ("javascript", "mapper", "export default class handler {}", 1, "export function*"),
]


@pytest.mark.parametrize(("language", "kind", "source", "line", "reason"), REFUSED)
def test_a_handler_that_cannot_give_what_it_means_is_refused(
    language: str, kind: str, source: str, line: int, reason: str
) -> None:
    if language == "javascript":
        JAVASCRIPT.need()
    with pytest.raises(InvalidInput) as refused:
        processor(language).check(source, kind)
    assert reason in str(refused.value)
    assert refused.value.args[0] == f"handler source, line {line}"


_JS = "export function* handler(key, value) { yield Return(); %s }"
_SH = "#!/bin/sh\nprintf %s"
_EXEC = "#!/bin/sh\nread -r line\necho '{\"return\":true}'\nprintf '%%s\\n' '%s'"

#: Language, source of a mapper of one pair, the kind of its failure, what the message says.
FAILED = [
    ("python", "yield Return()\nyield Return()\nyield 1, 1", "pair", "a marker comes once"),
    ("python", "yield 1, 1", "protocol", "MrConfigureToReturn() first"),
    ("python", "yield MrConfigureToReturn\nyield 1, 1", "protocol", "uncalled"),
    ("python", "yield [Map('next')]\nyield 1, 1", "protocol", "[Map('next')]"),
    ("python", "yield [Return()]\nyield 1, 1", "protocol", "[Return()]"),
    ("python", "yield Return()\nyield 'ab'", "pair", "pair 0 is not a key and a value: 'ab'"),
    ("python", "yield Return()\nyield 1, 2, 3", "pair", "pair 0 is not a key and a value"),
    ("python", "yield Return()\nyield {1: 2}", "pair", "pair 0 is not a key and a value"),
    ("python", "yield Return()\nyield [(1, 2)]", "pair", "pair 0 is not a key and a value"),
    ("python", "yield Return()\nyield {}, 1", "pair", "pair 0"),
    ("python", "yield Return()\nyield 1, object()", "pair", "pair 0"),
    ("python", "yield Map('')", "author", "not empty"),
    ("python", "yield Map(None)", "author", "named by text"),
    ("python", "def handler(key, value): return {(1, 2): 3}", "protocol", "return its .items()"),
    ("python", "def handler(key, value): return 'ab'", "protocol", "yields or returns pairs"),
    ("python", "def handler(key, value): return 5", "protocol", "yields or returns pairs"),
    ("python", "def handler(key, value): return Return()", "protocol", "marker alone"),
    ("python", "return [(1, 1)]", "protocol", "MrConfigureToReturn() first"),
    (
        "python",
        "def each():\n yield Return()\n yield 1, 1\n return [(2, 2)]\n"
        "def handler(key, value): return each()",
        "protocol",
        "in addition to its yields",
    ),
    (
        "python",
        "async def ask(): pass\ndef handler(key, value): return ask()",
        "protocol",
        "cannot be async",
    ),
    (
        "python",
        "async def each(): yield 1\ndef handler(key, value): return each()",
        "protocol",
        "cannot be async",
    ),
    ("javascript", _JS % "return [[1, 1]];", "protocol", "in addition to its yields"),
    ("javascript", _JS % "yield Return();", "pair", "a marker"),
    ("javascript", _JS % "yield [1, Promise.resolve(1)];", "pair", "Promise"),
    ("javascript", _JS % "yield Promise.resolve([1, 1]);", "pair", "Promise"),
    ("javascript", _JS % "yield { 1: 2 };", "pair", "pair 0"),
    ("javascript", _JS % "yield [1, 2, 3];", "pair", "pair 0"),
    ("javascript", _JS.replace("Return()", "Map('')") % "", "author", "not empty"),
    ("javascript", _JS.replace("yield Return();", "") % "yield [1, 1];", "protocol", "first"),
    (
        "javascript",
        "export function handler(key, value) { if (!key) return []; }",
        "protocol",
        "[]",
    ),
    (
        "javascript",
        "export async function handler(key, value) { if (!key) return []; }",
        "protocol",
        "[]",
    ),
    (
        "javascript",
        "export function handler(key, value) { return { a: 1 }; }",
        "protocol",
        "Object",
    ),
    (
        "javascript",
        "export function handler(key, value) { return Return(); }",
        "protocol",
        "marker",
    ),
    ("shell", _SH % r"'a\tb\tc\n'", "protocol", "line 1 has 2 tabs"),
    ("shell", _SH % r"'a\t1\nS_SET\tb\tc\td\n'", "protocol", "line 2 has 3 tabs"),
    ("shell", _SH % r"'a\t1\nmap next\n'", "protocol", "line 2 maps on"),
    ("shell", _SH % r"'map \n'", "protocol", "line 1 maps on"),
    ("shell", _SH % "'a\\t" + "1" * 5000 + "\\n'", "protocol", "line 1"),
    ("shell", _SH % r"'a 1\nb 2\n'", "protocol", "none of its 2 lines is a pair"),
    ("executable", _EXEC % ('{"pair":["a",' + "1" * 5000 + "]}"), "protocol", "line 2"),
    (
        "executable",
        _EXEC % ('{"pair":["a",' + "[" * 2000 + "]" * 2000 + "]}"),
        "protocol",
        "line 2",
    ),
    ("executable", _EXEC % '{"pair":["a",1]', "protocol", "line 2"),
    ("executable", _EXEC % ' { "pair" : ["a",1] } x', "protocol", "line 2"),
    ("executable", _EXEC % '{"pair":["a",1],"pair":["b",1]}', "protocol", "twice"),
    ("executable", _EXEC % '{"pair":["a",1],"and":1}', "protocol", "stands alone"),
    ("executable", _EXEC % '{"piar":["a",1]}', "protocol", 'near is "pair"'),
    ("executable", _EXEC % '{"pairs":{"a":1}}', "protocol", '"pairs" holds a list'),
    ("executable", _EXEC % '{"pairs":[["a",1],["b"]]}', "pair", "pair 1 is not a key and a value"),
    ("executable", _EXEC % '{"output":5}', "protocol", '"output" holds text or bytes'),
    ("executable", _EXEC % '{"ask":"S_GET"}', "protocol", '"ask" holds a name'),
    ("executable", _EXEC % '{"again":true}', "protocol", "a mapper is sent no keys"),
    ("executable", _EXEC % '{"error":{"kind":"lost"}}', "protocol", "no kind 'lost'"),
    ("executable", _EXEC % '{"error":{"trace":[1]}}', "protocol", '"trace" holds lists'),
    ("executable", _EXEC % '{"Pair":["a",1]}', "protocol", 'near is "pair"'),
    ("executable", _EXEC % '{"pair":["a",1,2]}', "pair", "pair 0 is not a key and a value"),
    ("executable", _EXEC % '{"pair":"ab"}', "pair", "pair 0 is not a key and a value"),
    ("executable", _EXEC % '{"end":false}', "protocol", "followed by true"),
    ("executable", "#!/bin/sh\nread -r line\necho 'a 1'", "protocol", "none of its 1 lines"),
    ("executable", "#!/bin/sh\nread -r line", "protocol", "ended without a line"),
    ("executable", "#!/bin/sh\nread -r line\necho", "protocol", "ended without a line"),
    ("executable", "#!/bin/sh\ntrue", "protocol", "ended without a line"),
    (
        "executable",
        '#!/bin/sh\nread -r line\nprintf \'{"return":true}\\n{"end":true}\\n{"pair":[1,1]}\\n\'',
        "protocol",
        "after its end",
    ),
]


@pytest.fixture
def guests(tmp_path: Path) -> Iterator[Guests]:
    with hosting(tmp_path) as made:
        yield made


@pytest.mark.parametrize(("language", "source", "kind", "reason"), FAILED)
def test_what_a_handler_gives_is_taken_whole_or_fails(
    guests: Guests, language: str, source: str, kind: str, reason: str
) -> None:
    if language == "javascript":
        JAVASCRIPT.need()
    loaded = frames.load("m", "mapper", source, source_type=language)
    made = frames.state(Path(guests.folder), loaded, guests=guests)
    (segment,) = run(made, [1, 1], reducer=None)
    failure = failed(segment)
    assert (failure["kind"], reason in failure["message"]) == (kind, True), failure


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("python", "tally = {k: sum(v) for k, v in results}\nreturn tally.items()"),
        ("python", "return ((key, sum(values)) for key, values in results)"),
        ("python", "def handler(key, values): return [(key, sum(values))]"),
        ("python", "def handler(results): return {k: sum(v) for k, v in results}.items()"),
        ("python", "if False: yield\nfor key, values in results: yield key, sum(values)"),
        ("javascript", "export function handler(key, values) { return [[key, 3]]; }"),
        ("javascript", "export async function handler(k, v) { return new Map([[k, 3]]); }"),
    ],
)  # fmt: skip
def test_a_handler_that_returns_its_pairs_gives_them(
    guests: Guests, language: str, source: str
) -> None:
    if language == "javascript":
        JAVASCRIPT.need()
    processor(language).check(source, "reducer")
    mapper = frames.load("m", "mapper", "yield Return()\nyield 'a', 1\nyield 'a', 2")
    reducer = frames.load("r", "reducer", source, source_type=language)
    made = frames.state(Path(guests.folder), mapper, reducer, guests=guests)
    (segment,) = run(made, [1, 1])
    assert pairs(made, segment) == [("a", 3)]


@pytest.mark.parametrize("given", ["('a', 1)", "(('a', 'b'), ['c', 'd'])"])
def test_one_pair_that_a_reducer_returns_is_not_taken_for_two(guests: Guests, given: str) -> None:
    mapper = frames.load("m", "mapper", "yield Return()\nyield 'a', 1")
    reducer = frames.load("r", "reducer", f"def handler(key, values): return {given}")
    made = frames.state(Path(guests.folder), mapper, reducer, guests=guests)
    (segment,) = run(made, [1, 1])
    assert "returned one pair" in failed(segment)["message"]
