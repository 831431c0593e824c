from __future__ import annotations

import datetime
import decimal
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobx.errors import InvalidInput
from jobx.handlers.execution.state import ExecutorState
from jobx.handlers.languages import Checked, processor
from jobx.handlers.languages.guests import Guests
from tests.support import frames
from tests.support.guests import children, failed, hosting, pairs, run
from tests.support.languages import JAVASCRIPT


@pytest.fixture
def guests(tmp_path: Path) -> Iterator[Guests]:
    JAVASCRIPT.need()
    with hosting(tmp_path) as made:
        yield made


def load(version: str, kind: str, source: str, **fields: Any) -> dict[str, Any]:
    return frames.load(version, kind, source, source_type="javascript", **fields)


def mapper(
    guests: Guests, body: str, parameters: str = "key, value", **fields: Any
) -> ExecutorState:
    source = f"export function* handler({parameters}) {{\n{body}\n}}"
    return frames.state(Path(guests.folder), load("m", "mapper", source, **fields), guests=guests)


def returned(guests: Guests, body: str, *items: Any, **fields: Any) -> list[Any]:
    made = mapper(guests, f"yield Return();\n{body}")
    return [pair for one in run(made, *items, reducer=None, **fields) for pair in pairs(made, one)]


@pytest.mark.parametrize(
    ("kind", "source", "checked"),
    [
        ("mapper", "export function* handler(args) {}", Checked()),
        ("mapper", "export default function* (key, value) {}", Checked()),
        (
            "mapper",
            "export async function* handler(a, b = 1) {}",
            Checked(parameters=("a", "b"), optional=("b",)),
        ),
        ("mapper", "export function handler() {}", Checked()),
        ("reducer", "export function* handler(key, values) {}", Checked(per_key=True)),
        ("reducer", "export default function* handler(results) {}", Checked()),
        (
            "combiner",
            "// export function* handler(results) {}\n"
            "const x = `\nexport function handler(a) {}`;\n"
            "export function* handler(\n  word, // the word\n  counts,\n) {}",
            Checked(per_key=True),
        ),
    ],
)
def test_the_form_is_read_from_the_declaration(kind: str, source: str, checked: Checked) -> None:
    assert processor("javascript").read(source, kind) == checked


@pytest.mark.parametrize(
    ("source", "where"),
    [
        ("\nfunction* handler(key, values) {}", "line 2: must declare"),
        ("export const handler = function* () {};", "line 1: must declare"),
        ("\nexport function* handler(a, b, c) {}", "line 2"),
        ("export function* handler(...all) {}", "plain parameters"),
        ("export function* handler({ a, b }) {}", "plain parameters"),
        ("export function* handler(a = 1, b) {}", "come last"),
        ("export function* handler(a, b = 1) {}", "a reducer takes"),
    ],
)
def test_another_declaration_is_refused(source: str, where: str) -> None:
    with pytest.raises(InvalidInput, match=where):
        processor("javascript").read(source, "reducer")


def test_a_check_names_the_line_of_a_syntax_error() -> None:
    JAVASCRIPT.need()
    source = "export function* handler(args) {\n  const a = ;\n}"
    with pytest.raises(InvalidInput, match=r"line 2: SyntaxError: .*const a"):
        processor("javascript").check(source, "mapper")


def test_a_check_runs_nothing_of_the_module(tmp_path: Path) -> None:
    JAVASCRIPT.need()
    source = (
        "import fs from 'node:fs';\n"
        f"fs.writeFileSync({str(tmp_path / 'ran')!r}, '');\n"
        "export function* handler(args) { yield Return(); }"
    )
    processor("javascript").check(source, "mapper")
    assert not (tmp_path / "ran").exists()


def test_javascript_is_refused_by_name_where_there_is_no_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InvalidInput, match="node is not installed"):
        processor("javascript").check("export function* handler(args) {}", "mapper")


def test_an_invocation_without_node_fails_for_want_of_a_capability(
    guests: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    failure = failed(run(mapper(guests, ""), [1, 1])[0])
    assert (failure["kind"], failure["type"]) == ("capability", "RuntimeMissing")
    assert "node cannot be started" in failure["message"]


INSTANT = datetime.datetime(2024, 5, 6, 7, 8, 9, 123000, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -1,
        127,
        128,
        -33,
        2**31,
        -(2**31) - 1,
        2**53 - 1,
        2**53 + 1,
        -(2**63),
        2**64,
        -(10**40),
        1.5,
        float("inf"),
        1e300,
        "",
        "grüße 😀" * 100,
        b"\x00\xff",
        [],
        [1, [2, "x"]],
        {},
        {"a": {"__proto__": 1}},
        {1: "one", "two": 2},
        INSTANT,
        INSTANT.replace(year=1900),
        decimal.Decimal("1.10"),
        list(range(70_000)),
        "x" * 70_000,
        ['"\\' * 3_000_000, 2**64],
        ["1234567890123456789", '\\"9007199254740993', 9007199254740993, 1e16],
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_value_comes_back_as_it_went(guests: Guests, value: Any) -> None:
    assert returned(guests, "yield [key, value];", ["k", value]) == [("k", value)]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1.0", 1),
        ("-0", -0.0),
        ("9007199254740993n", 2**53 + 1),
        ("new Map([[1, 2]])", {1: 2}),
        ("new Uint8Array([1, 2])", b"\x01\x02"),
        ("new Date(0)", datetime.datetime.fromtimestamp(0, datetime.UTC)),
        ("Object.create(null)", {}),
    ],
)
def test_what_javascript_makes_is_a_value(guests: Guests, written: str, value: Any) -> None:
    ((_, found),) = returned(guests, f"yield [1, {written}];", [1, 1])
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("undefined", "undefined cannot be a key or a value"),
        ("() => 1", "a function cannot be"),
        ("Symbol('x')", "a symbol cannot be"),
        ("new Set([1])", "a Set cannot be"),
        ("new Date('never')", "invalid Date"),
        ("'\\ud800'", "surrogate"),
        ("NaN", "NaN is neither"),
        ("(() => { const loop = []; loop.push(loop); return loop; })()", "deeper than 64"),
    ],
)
def test_what_is_no_value_is_refused_with_its_index(
    guests: Guests, written: str, reason: str
) -> None:
    made = mapper(guests, f"yield Return();\nyield [0, 0];\nyield [1, {written}];")
    failure = failed(run(made, [1, 1], reducer=None)[0])
    assert (failure["kind"], failure["pair"]) == ("pair", 1)
    assert reason in failure["message"]


def test_arguments_come_by_name_and_defaults_fill_what_is_absent(guests: Guests) -> None:
    made = mapper(guests, "yield Return();\nyield [first, second];", "first, second = 'none'")
    (segment,) = run(made, [["first", 1]], root=True, reducer=None)
    assert pairs(made, segment) == [(1, "none")]
    failure = failed(run(made, [["second", 1]], root=True)[0])
    assert (failure["kind"], failure["message"]) == ("arguments", "argument first is missing")


def test_all_arguments_come_as_a_map(guests: Guests) -> None:
    made = mapper(guests, "yield Return();\nyield [args.get('a'), [...args]];", "args")
    (segment,) = run(made, [["a", 1], ["b", 2]], root=True, reducer=None)
    assert pairs(made, segment) == [(1, [["a", 1], ["b", 2]])]


def test_results_may_be_read_twice_and_in_many_parts(guests: Guests) -> None:
    folder = Path(guests.folder)
    words = load(
        "m",
        "mapper",
        "export function* handler(key, value) {\n  yield Return();\n"
        "  for (let n = 0; n < 20000; n++) yield [n, 'x'.repeat(20)];\n"
        "  for (let n = 0; n < 5000; n++) yield ['hot', n];\n}",
    )
    twice = load(
        "r",
        "reducer",
        "export function* handler(results) {\n"
        "  const count = () => [...results].reduce((sum, [, values]) => sum + values.length, 0);\n"
        "  yield [count(), count()];\n}",
    )
    made = frames.state(folder, words, twice, guests=guests)
    assert pairs(made, run(made, [1, 1])[0]) == [(25_000, 25_000)]


def test_a_loop_over_results_inside_another_is_refused(guests: Guests) -> None:
    nested = load(
        "r",
        "reducer",
        "export function* handler(results) {\n"
        "  for (const [key] of results) for (const [other] of results) yield [key, other];\n}",
    )
    words = load("m", "mapper", JAVASCRIPT.letters)
    made = frames.state(Path(guests.folder), words, nested, guests=guests)
    assert "one loop at a time" in failed(run(made, [["text", "ab"]], root=True)[0])["message"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return [Return(), [1, 2]]", [(1, 2)]),
        ("return null", []),
        ("return Promise.resolve([Return(), [1, 2]])", [(1, 2)]),
    ],
)
def test_a_handler_may_return_what_it_would_yield(
    guests: Guests, body: str, expected: list[Any]
) -> None:
    source = f"export function handler(key, value) {{ {body}; }}"
    made = frames.state(Path(guests.folder), load("m", "mapper", source), guests=guests)
    assert pairs(made, run(made, [1, 1], reducer=None)[0]) == expected


def test_a_map_is_still_a_map(guests: Guests) -> None:
    body = "const map = new Map([[1, 2]]);\nyield [map instanceof Map, [...map]];"
    assert returned(guests, body, [1, 1]) == [(True, [[1, 2]])]


def test_names_of_the_scope_are_called_in_the_executor(guests: Guests) -> None:
    body = "S_SET('a', [1]);\nyield [JOIN('x', 'y'), [S_GET('a'), S_GET('b', 7), S_LIST(), SEP]];"
    assert returned(guests, body, [1, 1]) == [("x/y", [[1], 7, ["a"], "/"])]


def test_an_error_of_the_scope_may_be_caught(guests: Guests) -> None:
    body = "try { S_GET('b'); } catch (error) { yield [error.name, error.message]; }"
    assert returned(guests, body, [1, 1]) == [("KeyError", "'b'")]


def test_files_are_read_and_written_whole(guests: Guests, tmp_path: Path) -> None:
    class Files:
        def open(self, path: str, mode: str) -> Any:
            return (tmp_path / path).open(mode)

        def ls(self) -> Iterator[tuple[str, int]]:
            yield "a", 1

    made = mapper(
        guests,
        "yield Return();\nFS.write('f', 'text');\nyield [FS.read('f').toString(), FS.ls()];",
    )
    made.scope.add("FS", Files())
    assert pairs(made, run(made, [1, 1], reducer=None)[0]) == [("text", [["a", 1]])]


def test_the_request_and_the_invocation_are_told(guests: Guests) -> None:
    body = "yield [REQUEST.id, [REQUEST.context.who, INVOCATION.step, INVOCATION.vertex]];"
    assert returned(guests, body, [1, 1], first=3) == [("r1", ["me", "s", 3])]


def test_a_mapper_that_maps_on_outlives_the_process_that_ran_it(guests: Guests) -> None:
    made = mapper(guests, "yield Map('t');\nfor (let n = 0; n < 50; n++) yield [n, key];")
    made.load(load("d", "mapper", JAVASCRIPT.die))
    (segment,) = run(made, [1, 1], chunk_pairs=30, reducer=None)
    run(made, [2, 2], mapper="d", first=2)
    assert children(made, segment) + children(made, _pull(made)) == [[n, 1] for n in range(50)]


def _pull(made: ExecutorState) -> Any:

    fields = {"mapper": "m", "combiner": None, "reducer": None, "vertex": 1, "chunk_pairs": 500}
    (segment,) = frames.run(made, frames.work("pull", Path(made.guests.folder), **fields))
    return segment


@pytest.mark.parametrize(
    "written",
    [
        """console.log('{"pair":[1,2]}');""",
        """(await import('node:fs')).writeSync(1, '{"pair":[1,2]}\\n');""",
        """const { execFileSync } = await import('node:child_process');
        execFileSync('echo', ['{"pair":[1,2]}'], { stdio: 'inherit' });""",
    ],
)
def test_what_is_written_is_output_though_it_looks_like_the_protocol(
    guests: Guests, written: str
) -> None:
    source = f"export async function* handler(key, value) {{\nyield Return();\n{written}\n}}"
    made = frames.state(Path(guests.folder), load("m", "mapper", source), guests=guests)
    (segment,) = run(made, [1, 1], reducer=None)
    assert pairs(made, segment) == []
    assert segment[6] == {1: {"output": '{"pair":[1,2]}\n'}}


def test_bytes_that_are_no_text_are_captured(guests: Guests) -> None:
    made = mapper(guests, "yield Return();\nprocess.stdout.write(Buffer.from([255, 10]));")
    (segment,) = run(made, [1, 1], reducer=None)
    assert segment[6][1]["output"].encode(errors="surrogateescape")[-1:] == b"\n"


def test_what_a_long_request_leaves_is_put_back_before_another_one(guests: Guests) -> None:
    body = "globalThis.left = (globalThis.left ?? 0) + 1;\nyield [left, 0];"
    made = mapper(guests, f"yield Return();\n{body}")
    seen = []
    for request_id in ("r1", "r1", "r1", "r2", "r1"):
        request = frames.of_request(request_id)
        (segment,) = run(made, [1, 1], reducer=None, request=request)
        seen += [key for key, _ in pairs(made, segment)]
        guests.restore()
    assert seen == [1, 1, 2, 1, 1]


def test_a_process_that_leaves_in_the_middle_has_crashed(guests: Guests) -> None:
    made = mapper(guests, "yield Return();\nyield [1, 1];\nprocess.reallyExit(0);")
    failure = failed(run(made, [1, 1], reducer=None)[0])
    assert (failure["kind"], failure["type"]) == ("crash", "GuestCrashed")


def test_an_exit_and_a_stray_rejection_end_only_the_invocation(guests: Guests) -> None:
    made = mapper(guests, "Promise.reject(new Error('stray'));\nprocess.exit(value);")
    failures = [failed(segment) for segment in run(made, [1, 3], [2, 4])]
    assert [(one["type"], one["message"]) for one in failures] == [
        ("SystemExit", "3"),
        ("SystemExit", "4"),
    ]


def test_memory_that_runs_out_fails_the_invocation(
    guests: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_OPTIONS", "--max-old-space-size=32")
    made = mapper(guests, "const all = [];\nfor (;;) all.push(new Array(1000).fill(key));")
    assert failed(run(made, [1, 1])[0])["kind"] == "memory"


def test_a_node_process_without_descriptors_is_no_failure_of_the_author(guests: Guests) -> None:
    made = mapper(guests, "yield Return(); yield [key, process.pid]")
    second = "export function* handler(key, value) { yield Return(); yield [key, 'second'] }"
    made.load(load("n", "mapper", second))
    ((_, node),) = pairs(made, run(made, [1, 1], reducer=None)[0])
    _, hard = resource.prlimit(node, resource.RLIMIT_NOFILE)
    resource.prlimit(node, resource.RLIMIT_NOFILE, (1, hard))
    assert failed(run(made, [1, 1], reducer=None, mapper="n")[0])["kind"] == "disk"
    assert pairs(made, run(made, [1, 1], reducer=None, mapper="n")[0]) == [(1, "second")]


@pytest.mark.parametrize(
    ("thrown", "told"),
    [
        ("Object.defineProperty(new Error('boom'), 'name', { get() { throw 1; } })", "boom"),
        ("Object.defineProperty(new Error('boom'), 'stack', { get() { throw 1; } })", "boom"),
        ("new Proxy({}, { get() { throw 1; }, getPrototypeOf() { throw 2; } })", "cannot be shown"),
        ("{ get constructor() { throw 1; } }", "object"),
    ],
)
def test_an_error_that_does_not_let_itself_be_read_is_a_failure(
    guests: Guests, thrown: str, told: str
) -> None:
    failure = failed(run(mapper(guests, f"throw {thrown};"), [1, 1])[0])
    assert failure["kind"] == "author"
    assert told in failure["message"]


def test_a_trace_that_cannot_be_made_is_left_out(guests: Guests) -> None:
    body = "Error.prepareStackTrace = () => { throw 1; };\nthrow new Error('m');"
    assert failed(run(mapper(guests, body), [1, 1])[0])["message"] == "m"


@pytest.mark.parametrize("name", ["end", "restore", "answer"])
def test_what_is_added_to_all_objects_loses_nothing(guests: Guests, name: str) -> None:
    adding = (
        "export function* handler(key, value) {\n  yield Return();\n"
        f"  Object.prototype.{name} = true;\n  yield [key, value];\n}}"
    )
    words = load("m", "mapper", adding)
    adding_up = load("r", "reducer", JAVASCRIPT.add_up)
    made = frames.state(Path(guests.folder), words, adding_up, guests=guests)
    assert pairs(made, run(made, ["a", 1])[0]) == [("a", 1)]


def test_a_process_that_handlers_left_unable_to_answer_ends(guests: Guests) -> None:
    source = (
        "export function* handler(key, value) {\n  yield Return();\n"
        "  Object.defineProperty(Object.prototype, 'errno', { value: 5 });\n"
        "  yield [key, value];\n}"
    )
    broken, adding_up = load("m", "mapper", source), load("r", "reducer", JAVASCRIPT.add_up)
    made = frames.state(Path(guests.folder), broken, adding_up, guests=guests)
    assert failed(run(made, ["a", 1])[0])["type"] == "ProgramFailed"
