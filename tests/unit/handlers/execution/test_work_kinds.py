"""Work frames run in this process; what needs a real executor is in tests/integration."""

from __future__ import annotations

import zlib
from pathlib import Path

import msgspec
import pytest

from jobx import values
from jobx.model import Failure
from jobx.payload import Payload, pack_offsets, unpack_offsets
from jobx.work import BlobPart
from tests.support import frames
from tests.support.trips import SUM, WORDS, failure_of, mapper, output, reducer, run


@pytest.mark.parametrize(
    ("source_code", "told"),
    [
        ("def handler(key, values): PRINT(key); yield key, 1", "b\na\n"),
        ("def handler(results):\n for key, _ in results: PRINT(key); yield key, 1", "a\nb\n"),
        ("for key, _ in results: PRINT(key); yield key, 1", "a\nb\n"),
    ],
)
def test_only_a_reducer_over_all_keys_has_them_sorted_but_output_is_always_in_order(
    tmp_path: Path, source_code: str, told: str
) -> None:
    state = frames.state(tmp_path, mapper("yield Return()\nyield 'b', 1\nyield 'a', 2"))
    state.load(reducer(source_code))
    (segment,) = run(state, tmp_path, [1, 1])
    assert segment[6][1]["reducer_output"] == told
    assert output(segment, tmp_path) == [("a", 1), ("b", 1)]


XS = "yield Return()\nfor k, v in arguments: yield 'x', v"


def test_neighbours_that_are_reduced_share_one_segment_with_values_in_order(
    tmp_path: Path,
) -> None:
    last = reducer("def handler(key, values): yield key, values[-1]")
    state = frames.state(tmp_path, mapper(XS), last)
    (segment,) = run(state, tmp_path, [1, "a"], [2, "b"], [3, "c"])
    assert segment[:3] == ["returned", 1, 3]
    assert output(segment, tmp_path) == [("x", "a"), ("x", "b"), ("x", "c")]


def test_each_mapper_that_is_still_to_be_reduced_has_its_own_segment(tmp_path: Path) -> None:
    segments = run(frames.state(tmp_path, mapper(XS)), tmp_path, [1, "a"], [2, "b"], reducer=None)
    assert [segment[:3] for segment in segments] == [["returned", 1, 1], ["returned", 2, 1]]
    assert [segment[4] for segment in segments] == [False, False]


def test_one_trip_maps_and_reduces_each_vertex(tmp_path: Path) -> None:
    state = frames.state(tmp_path, WORDS, SUM)
    (segment,) = run(state, tmp_path, [0, "aab"], [1, "ba"])
    assert segment[4] is True
    assert output(segment, tmp_path) == [("a", 2), ("a", 1), ("b", 1), ("b", 1)]


def test_durations_are_those_of_mappers_then_combiners_then_reducers(tmp_path: Path) -> None:
    slow = "import time\nyield Return()\nstop = time.monotonic() + 0.2\n"
    state = frames.state(tmp_path, mapper(slow + "while time.monotonic() < stop: pass"), SUM)
    (segment,) = run(state, tmp_path, [0, 0], [1, 1])
    mapped, combined, reduced = (list(unpack_offsets(segment[5])[n : n + 2]) for n in (0, 2, 4))
    assert min(mapped) >= 200_000 > max(combined + reduced)


@pytest.mark.parametrize(
    "source_code", ["if False: yield", "yield Return()", "def handler(arguments): pass"]
)
def test_a_mapper_may_return_nothing(tmp_path: Path, source_code: str) -> None:
    (segment,) = run(frames.state(tmp_path, mapper(source_code), SUM), tmp_path, [1, 1])
    assert (segment[0], output(segment, tmp_path)) == ("returned", [])


@pytest.mark.parametrize(
    "source_code",
    [
        "for key, values in results: yield key, sum(values)",
        "def handler(results): return [(key, sum(values)) for key, values in results]",
        "def handler(key, values): return [(key, sum(values))]",
        "def handler(key, values): yield [key, sum(values)]",
    ],
)
@pytest.mark.parametrize("kind", ["combiner", "reducer"])
def test_combiner_and_reducer_may_have_either_form(
    tmp_path: Path, source_code: str, kind: str
) -> None:
    state = frames.state(tmp_path, WORDS, frames.load("x", kind, source_code))
    fields = {"combiner": None, "reducer": None, kind: "x"}
    (segment,) = run(state, tmp_path, [0, "aab"], **fields)
    assert output(segment, tmp_path) == [("a", 2), ("b", 1)]


def test_what_a_combiner_yields_is_grouped_again_for_the_reducer(tmp_path: Path) -> None:
    combiner = frames.load("c", "combiner", "def handler(key, values): yield 'all', sum(values)")
    state = frames.state(tmp_path, WORDS, combiner, reducer("yield 'seen', list(results)"))
    (segment,) = run(state, tmp_path, [0, "aab"], combiner="c")
    assert output(segment, tmp_path) == [("seen", [["all", [2, 1]]])]


def test_a_reducer_sees_keys_in_order_and_results_may_be_read_twice(tmp_path: Path) -> None:
    source = "yield 0, [[k for k, _ in results], [k for k, _ in results]]"
    (segment,) = run(frames.state(tmp_path, WORDS, reducer(source)), tmp_path, [0, "cab"])
    assert output(segment, tmp_path) == [(0, [["a", "b", "c"]] * 2)]


def test_a_reducer_over_results_runs_when_there_is_nothing(tmp_path: Path) -> None:
    state = frames.state(tmp_path, WORDS, reducer("yield 'keys', len(list(results))"))
    (segment,) = run(state, tmp_path, [0, ""])
    assert output(segment, tmp_path) == [("keys", 0)]


def test_the_root_gets_the_arguments_of_the_request(tmp_path: Path) -> None:
    source = "def handler(a, b): yield Return(); yield a, b"
    state = frames.state(tmp_path, mapper(source, argument_spec=[["a", "str"], ["b", "int"]]))
    item = [["a", "x"], ["b", "7"]]
    (segment,) = run(state, tmp_path, item, first=0, root=True, reducer=None)
    assert output(segment, tmp_path) == [("x", 7)]


_NO_BLOB = BlobPart("x", 9, 0, 0, 9)


def _second_of(packed: list[bytes]) -> BlobPart:
    """Return where the second of two items is."""
    stop = sum(map(len, packed))
    ends, sums = pack_offsets([stop]), pack_offsets([zlib.crc32(packed[1])])
    checksum = zlib.crc32(b"".join(packed))
    return BlobPart("chunk", stop, checksum, len(packed[0]), stop, ends, sums)


def test_an_item_that_is_not_what_was_written_is_found_and_those_beside_it_are_not_asked(
    tmp_path: Path,
) -> None:
    packed = [values.pack([1, "a"]), values.pack([2, "bb"])]
    state = frames.state(tmp_path, WORDS, SUM)
    found = []
    for body in (b"\0" + packed[0][1:] + packed[1], packed[0] + packed[1][:-1] + b"c"):
        (tmp_path / "chunk").write_bytes(body)
        frame = frames.map_(tmp_path, [0], pairs=None, blob=_second_of(packed))
        (segment,) = frames.run(state, frame)
        found.append(segment[0])
    assert found == ["returned", "failed"]


def test_items_are_cut_out_of_the_blob_of_their_chunk(tmp_path: Path) -> None:
    packed = [values.pack([1, "a"]), values.pack([2, "bb"])]
    (tmp_path / "chunk").write_bytes(b"".join(packed))
    where = _second_of(packed)
    state = frames.state(tmp_path, WORDS, SUM)
    frame = frames.map_(tmp_path, [0], pairs=None, blob=where)
    (segment,) = frames.run(state, frame)
    assert output(segment, tmp_path) == [("b", 2)]


def test_an_input_that_is_gone_names_the_blob_for_each_vertex(tmp_path: Path) -> None:
    frame = frames.map_(tmp_path, [0, 0], pairs=None, blob=_NO_BLOB)
    segments = frames.run(frames.state(tmp_path, WORDS, SUM), frame)
    assert [segment[1] for segment in segments] == [1, 2]
    failure = msgspec.convert(segments[0][2], Failure)
    assert (failure.kind, failure.input) == ("blob", "x")


FAILURES = [
    ("yield Return()\nyield 1 / 0, 1", "author", "ZeroDivisionError", "division by zero"),
    ("import sys\nsys.exit(3)\nyield", "author", "SystemExit", "3"),
    ("raise KeyboardInterrupt\nyield", "author", "KeyboardInterrupt", ""),
    ("class Odd(Exception): pass\nraise Odd('x')", "author", "Odd", "x"),
    ("import json\njson.loads('{')", "author", "json.decoder.JSONDecodeError", "Expecting"),
    ("def f(): f()\nf()\nyield", "author", "RecursionError", "maximum recursion"),
    ("raise MemoryError\nyield", "memory", "MemoryError", "no memory is left"),
    ("raise ValueError('\\udc80')\nyield", "author", "ValueError", "\\udc80"),
    (
        "class Mute(Exception):\n def __str__(self): raise KeyError\nraise Mute",
        "author",
        "Mute",
        "__str__ raised KeyError",
    ),
    (
        "class Odd(Exception): __module__ = '\\udc80'\nraise Odd('x')",
        "author",
        "\\udc80.handler.<locals>.Odd",
        "x",
    ),
    (
        "class Odd(Exception): __traceback__ = property(lambda self: 1 / 0)\nraise Odd('x')",
        "author",
        "Odd",
        "x",
    ),
    (
        "class Odd(Exception): __class__ = property(lambda self: 1 / 0)\nraise Odd('x')",
        "author",
        "Odd",
        "cannot be shown",
    ),
    ("yield 1, 2", "protocol", "ProtocolError", "yields MrConfigureToMap"),
    ("yield Return", "protocol", "ProtocolError", "yields MrConfigureToMap"),
    ("yield None", "protocol", "ProtocolError", "began with None"),
    ("def handler(arguments): return 5", "protocol", "ProtocolError", "not 5"),
    ("def handler(x): yield Return()", "arguments", "ArgumentError", "argument x is missing"),
    ("yield Return()\nyield 1, 2\nyield 3", "pair", "PairError", "pair 1 is not"),
    ("yield Return()\nyield {}, 2", "pair", "PairError", "a dict cannot be a key"),
    ("yield Return()\nyield float('nan'), 2", "pair", "PairError", "NaN"),
    ("yield Return()\nyield 1, print", "pair", "PairError", "cannot be a value"),
    ("yield Map('t')\nyield 1, print", "pair", "PairError", "cannot be a value"),
    ("yield Map(5)", "author", "TypeError", "a step is named by text"),
    ("S_SET('k', print)\nyield", "author", "ValueError", "cannot be a value"),
]


@pytest.mark.parametrize(("source_code", "kind", "type_name", "message"), FAILURES)
def test_a_mapper_that_fails_ends_only_itself(
    tmp_path: Path, source_code: str, kind: str, type_name: str, message: str
) -> None:
    good = "yield Return()\nyield 'good', 1"
    indented = "\n".join(f"  {line}" for line in good.split("\n"))
    if "def handler" not in source_code:
        body = "\n".join(f"  {line}" for line in source_code.split("\n"))
        source_code = f"if 2 in arguments:\n{body}\nelse:\n{indented}"
        first, second, third = run(
            frames.state(tmp_path, mapper(source_code)),
            tmp_path,
            *([n, 0] for n in (1, 2, 3)),
            reducer=None,
        )
        assert output(first, tmp_path) == output(third, tmp_path) == [("good", 1)]
    else:
        (second,) = run(frames.state(tmp_path, mapper(source_code)), tmp_path, [2, 0])
    failure = failure_of([second])
    assert (failure.kind, failure.type) == (kind, type_name)
    assert message in failure.message
    assert failure.handler_name == "m"


def test_a_failure_tells_where_and_over_what(tmp_path: Path) -> None:
    source = "'''Doc.'''\nimport json\nyield Return()\nPRINT('before')\njson.loads('{')"
    state = frames.state(tmp_path, mapper(source))
    segments = run(state, tmp_path, ["key", "v" * 500], attempts={1: 3})
    failure = failure_of(segments)
    assert failure.traceback == (
        "  File \"<handler m>\", line 5, in handler\n    json.loads('{')\n"
    )
    assert failure.input is not None
    assert (failure.input[:8], len(failure.input) < 100) == ("['key', ", True)
    assert (failure.attempt, failure.step_name) == (3, "s")
    assert segments[0][4] == {1: {"output": "before\n"}}


@pytest.mark.parametrize(
    ("source_code", "pair"),
    [("def handler(key, values): yield key, print", 0), ("yield 1, 2\nyield 3", 1)],
)
def test_a_reducer_that_fails_is_named(tmp_path: Path, source_code: str, pair: int) -> None:
    failure = failure_of(
        run(frames.state(tmp_path, WORDS, reducer(source_code)), tmp_path, [1, "a"])
    )
    assert (failure.kind, failure.handler_name, failure.pair) == ("pair", "r", pair)


def test_a_module_that_fails_to_load_fails_the_invocation(tmp_path: Path) -> None:
    state = frames.state(tmp_path, mapper("x = 1 / 0\ndef handler(arguments): pass"))
    failure = failure_of(run(state, tmp_path, [1, 1]))
    assert (failure.type, "line 1" in failure.traceback) == ("ZeroDivisionError", True)


def test_a_handler_that_was_not_sent_is_an_internal_failure(tmp_path: Path) -> None:
    assert failure_of(run(frames.state(tmp_path), tmp_path, [1, 1])).kind == "internal"


def test_a_failed_invocation_leaves_no_blobs(tmp_path: Path) -> None:
    source = "yield Return()\nfor n in range(9000): yield n, 'x' * 50\nraise ValueError"
    state = frames.state(tmp_path / "scratch", mapper(source), spill_bytes=100_000)
    failure_of(run(state, tmp_path / "blobs", [1, 1], reducer=None))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_progress_is_cleared_at_the_end(tmp_path: Path) -> None:
    state = frames.state(tmp_path, WORDS, SUM)
    run(state, tmp_path, [1, "a"])
    assert state.page.at_work() == (0, 0, 0)


def test_a_mapper_that_maps_to_nothing_has_an_empty_chunk(tmp_path: Path) -> None:
    (segment,) = run(frames.state(tmp_path, mapper("yield Map('t')")), tmp_path, [1, 1])
    assert segment[:3] == ["mapped", 1, "t"]
    assert (Payload.from_wire(segment[3]).count, segment[5]) == (0, False)
