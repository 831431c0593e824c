"""Work frames run in this process; what needs a real executor is in tests/integration."""

from __future__ import annotations

import array
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobx import values
from jobx.errors import StoreFull
from jobx.handlers.execution.state import ExecutorState
from jobx.handlers.execution.suspended import MAX_SUSPENDED
from jobx.handlers.pairs.run_writer import RunWriter
from jobx.model import Failure
from jobx.payload import Payload, pack_offsets, unpack_offsets
from jobx.work import BlobPart
from tests.support import frames

SUM = frames.load("r", "reducer", "def handler(key, values): yield key, sum(values)")
WORDS = frames.load(
    "m", "mapper", "yield Return()\nfor _, t in arguments:\n for w in t: yield w, 1"
)


def mapper(source_code: str, **fields: Any) -> dict[str, Any]:
    return frames.load("m", "mapper", source_code, **fields)


def reducer(source_code: str) -> dict[str, Any]:
    return frames.load("r", "reducer", source_code)


def run(state: ExecutorState, folder: Path, *items: Any, **fields: Any) -> list[Any]:
    return frames.run(state, frames.map_(folder, items, **fields))


def output(segment: Any, folder: Path) -> list[Any]:
    return frames.pairs(segment[3], folder)


def failure_of(segments: Sequence[Any]) -> Failure:
    (segment,) = segments
    assert segment[0] == "failed", segment
    return msgspec.convert(segment[2], Failure)


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


def _all_chunks(state: ExecutorState, folder: Path, **fields: Any) -> list[Any]:
    (segment,) = run(state, folder, [1, 1], **fields)
    chunks = [segment]
    while segment[5]:
        (segment,) = frames.run(state, frames.work("pull", folder, vertex=1, **fields))
        chunks.append(segment)
    return chunks


@pytest.mark.parametrize("pairs", [0, 1, 9, 10, 11, 25])
def test_a_mapper_is_asked_chunk_by_chunk(tmp_path: Path, pairs: int) -> None:
    source = f"yield Map('t')\nfor n in range({pairs}): yield n, [n]"
    chunks = _all_chunks(frames.state(tmp_path, mapper(source)), tmp_path, chunk_pairs=10)
    items = [frames.children(chunk[3], tmp_path) for chunk in chunks]
    assert [item for listed in items for item in listed] == [[n, [n]] for n in range(pairs)]
    assert len(chunks) == max(1, -(-pairs // 10))


def test_chunks_end_by_bytes_and_a_large_pair_stands_alone_in_a_blob(tmp_path: Path) -> None:
    source = "yield Map('t')\nfor n in (10, 10, 500, 10): yield n, 'x' * n"
    state = frames.state(tmp_path, mapper(source))
    chunks = _all_chunks(state, tmp_path, inline_bytes=100)
    found = [Payload.from_wire(chunk[3]) for chunk in chunks]
    assert [(chunk.count, chunk.blob is None) for chunk in found] == [
        (2, True),
        (1, False),
        (1, True),
    ]
    assert list(unpack_offsets(found[0].offsets)) == [13, 26]


def test_the_same_chunks_have_the_same_digests(tmp_path: Path) -> None:
    source = "yield Map('t')\nfor n in range(25): yield n, n"
    digests = [
        [c[4] for c in _all_chunks(frames.state(tmp_path, mapper(source)), tmp_path, chunk_pairs=9)]
        for _ in range(2)
    ]
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == 3


def test_kept_mappers_take_turns_each_with_its_own_session(tmp_path: Path) -> None:
    source = (
        "yield Map('t')\nfor me, _ in arguments:\n for n in range(3):\n"
        "  S_SET(str(n), me)\n  PRINT(me, n)\n  yield n, n"
    )
    state = frames.state(tmp_path, mapper(source))
    run(state, tmp_path, ["a", 0], ["b", 0], chunk_pairs=1)
    last = {}
    for vertex in (1, 2, 2, 1):
        (segment,) = frames.run(state, frames.work("pull", tmp_path, vertex=vertex))
        last[vertex] = segment[7]
    assert last[2][2] == {"output": "b 0\nb 1\nb 2\n", "session": dict.fromkeys("012", "b")}
    assert last[1][1] == {"output": "a 0\na 1\na 2\n", "session": dict.fromkeys("012", "a")}


def test_a_mapper_that_is_not_kept_is_lost(tmp_path: Path) -> None:
    segments = frames.run(frames.state(tmp_path), frames.work("pull", tmp_path, vertex=9))
    assert failure_of(segments).kind == "lost"


def test_no_more_mappers_are_kept_than_there_is_room_for(tmp_path: Path) -> None:
    state = frames.state(tmp_path, mapper("yield Map('t')\nyield 1, 1\nyield 2, 2"))
    items = [[n, n] for n in range(MAX_SUSPENDED + 5)]
    segments = run(state, tmp_path, *items, chunk_pairs=1)
    assert segments[-1] == ["unstarted", MAX_SUSPENDED + 1, 5]
    assert len(segments) == MAX_SUSPENDED + 1


ECHO = "yield Return()\nfor k, v in arguments: yield k, v"


def recall(state: ExecutorState, number: int) -> None:
    state.page.recalled = number


def kinds(segments: Sequence[Any]) -> list[Any]:
    return [
        segment[:3] if segment[0] in ("returned", "unstarted") else segment[:2]
        for segment in segments
    ]


@pytest.mark.parametrize("recalled", [1, 2])
def test_a_recalled_batch_gives_the_rest_back(tmp_path: Path, recalled: int) -> None:
    state = frames.state(tmp_path, mapper(ECHO), SUM)
    state.is_self_contained = False  # else nothing is drained
    state.drain = lambda: recall(state, recalled)  # as soon as an invocation has ended
    segments = run(state, tmp_path, *[[n, n] for n in range(5)])
    assert kinds(segments) == [["returned", 1, 1], ["unstarted", 2, 4]]


@pytest.mark.parametrize(("recalled", "expected"), [(0, "returned"), (1, "unstarted")])
def test_a_batch_begins_when_only_what_came_before_it_was_recalled(
    tmp_path: Path, recalled: int, expected: str
) -> None:
    state = frames.state(tmp_path, mapper(ECHO), SUM)
    recall(state, recalled)
    assert kinds(run(state, tmp_path, [1, 1], [2, 2])) == [[expected, 1, 2]]


def test_a_recalled_reducer_is_not_begun(tmp_path: Path) -> None:
    state = frames.state(tmp_path, SUM)
    recall(state, 1)
    assert frames.run(state, frames.reduce(tmp_path, [])) == []


def test_a_kept_mapper_is_asked_whatever_was_recalled(tmp_path: Path) -> None:
    state = frames.state(tmp_path, mapper("yield Map('t')\nyield 1, 1\nyield 2, 2"))
    run(state, tmp_path, [1, 1], chunk_pairs=1)
    recall(state, 1)
    (segment,) = frames.run(state, frames.work("pull", tmp_path, vertex=1))
    assert segment[:2] == ["mapped", 1]


def test_a_batch_gives_back_what_it_has_not_begun_in_its_time(tmp_path: Path) -> None:
    state = frames.state(tmp_path, mapper(ECHO), SUM)
    segments = run(state, tmp_path, [1, 1], [2, 2], [3, 3], batch_s=0.0)
    assert kinds(segments) == [["returned", 1, 1], ["unstarted", 2, 2]]


@pytest.mark.parametrize(
    "source_code",
    [
        "yield Return()\nPRINT('x' * 600)",
        "yield Return()\nPRINT('x' * 600)\n1 / 0",
        "yield Return()\nS_SET('k', 'x' * 600)",
        "yield Return()\nfor n in range(4): NOTIFY('x' * 600)",
        "yield Return()\nyield 1, 'x' * 600",
        "yield Map('t')\nyield 1, 'x' * 600",
        "yield Map('t')\nPRINT('x' * 600)",
    ],
)
def test_a_batch_ends_when_its_answer_is_large(tmp_path: Path, source_code: str) -> None:
    state = frames.state(tmp_path, mapper(source_code), segments_bytes=1000)
    segments = run(state, tmp_path, *[[n, n] for n in range(9)], reducer=None)
    assert segments[-1][0] == "unstarted"
    assert 1 < segments[-1][1] < 9


def _full(folder: Path) -> ExecutorState:
    """Return what keeps as many mappers as it should; its mapper returns what is odd."""
    source = "key, _ = next(iter(arguments))\nyield Return() if key % 2 else Map('t')\n"
    state = frames.state(folder, mapper(source + "yield 1, 1\nyield 2, 2"), SUM)
    run(state, folder, *[[2 * n, 0] for n in range(MAX_SUSPENDED)], chunk_pairs=1)
    return state


def test_a_batch_ends_with_the_mapper_that_is_kept_beyond_the_bound(tmp_path: Path) -> None:
    segments = run(_full(tmp_path), tmp_path, [2, 0], [4, 0], first=500, chunk_pairs=1)
    assert [segment[:2] for segment in segments] == [["mapped", 500], ["unstarted", 501]]


def test_what_kept_mappers_may_wait_for_is_run_however_many_they_are(tmp_path: Path) -> None:
    segments = run(_full(tmp_path), tmp_path, [1, 0], [3, 0], first=500)
    assert kinds(segments) == [["returned", 500, 2]]


def test_output_that_was_cut_is_told_with_the_stage_that_wrote_it(tmp_path: Path) -> None:
    talkative = mapper("PRINT('x' * 1500)\nyield Return()\nyield 1, 1")
    adding = "def handler(key, values):\n  {}yield key, sum(values)"
    marker = "\n[501 bytes of output were cut]\n"

    (quiet,) = run(frames.state(tmp_path, talkative, reducer(adding.format(""))), tmp_path, [1, 1])
    assert quiet[-1] == {1: {"output": "x" * 1000 + marker}}

    loud = reducer(adding.format("PRINT('y' * 9); "))
    (segment,) = run(frames.state(tmp_path, talkative, loud), tmp_path, [1, 1])
    assert segment[-1][1]["output"].endswith(marker)
    assert segment[-1][1]["reducer_output"] == "\n[10 bytes of output were cut]\n"


@pytest.mark.interpreted
def test_nothing_is_left_of_a_batch_whose_output_finds_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = RunWriter.run

    def run_until_full(writer: RunWriter, *given: Any) -> Payload:
        if writer.written > 1:
            raise StoreFull("the folder", "no space left")
        return written(writer, *given)

    monkeypatch.setattr(RunWriter, "run", run_until_full)
    source = "key, _ = next(iter(arguments))\nyield Return() if key else Map('t')\n"
    state = frames.state(tmp_path / "scratch", mapper(source + "yield 1, 'x' * 90000\nyield 2, 2"))
    segments = run(state, tmp_path / "blobs", *[[n, 0] for n in range(4)], reducer=None)
    assert {segment[0] for segment in segments} == {"failed"}
    assert (state.suspended, list((tmp_path / "blobs").iterdir())) == ({}, [])


DROPPED = (
    "from pathlib import Path\nfolder = arguments['folder']\nyield Map('t')\n"
    "try:\n for n in range(9): yield n, n\n"
    "finally:\n Path(folder, str(INVOCATION.vertex)).touch()\n 1 / 0"
)


@pytest.mark.parametrize(("vertices", "closed"), [(None, ["1", "2"]), ([1], ["1"]), ([7], [])])
def test_dropped_mappers_are_closed_whatever_they_raise(
    tmp_path: Path, vertices: list[int] | None, closed: list[str]
) -> None:
    state = frames.state(tmp_path, mapper(DROPPED))
    run(state, tmp_path, *[["folder", str(tmp_path)]] * 2, chunk_pairs=1)
    state.drop("other", None)
    state.drop("r1", vertices)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == closed
    state.drop("r1", None)


def test_in_one_trip_the_reducer_reads_what_the_mapper_left(tmp_path: Path) -> None:
    source = mapper("S_SET('k', [arguments['a']])\nyield Return()")
    state = frames.state(tmp_path, source, reducer("yield S_LIST()[0], S_GET('k')"))
    (segment,) = run(state, tmp_path, ["a", 5], ["a", 6])
    assert output(segment, tmp_path) == [("k", [5]), ("k", [6])]
    assert segment[6] == {1: {"session": {"k": [5]}}, 2: {"session": {"k": [6]}}}


def test_a_reducer_of_its_own_trip_reads_the_session_but_does_not_write_it(tmp_path: Path) -> None:
    state = frames.state(tmp_path, reducer("yield 1, S_GET('k')\nS_SET('k', 1)"))
    failure = failure_of(frames.run(state, frames.reduce(tmp_path, [], session={"k": 5})))
    assert failure.type == "PermissionError"


def _leaves(folder: Path, spill_bytes: int, partitions: int, inline_bytes: int) -> list[Payload]:
    state = frames.state(folder, WORDS, SUM, spill_bytes=spill_bytes)
    texts = ["abcab", "bcdbc", "cdecd" * 3, ""]
    fields = {"sections": partitions, "inline_bytes": inline_bytes}
    segments = run(state, folder, *enumerate(texts), reducer=None, **fields)
    return [Payload.from_wire(wire) for segment in segments for wire in segment[3]]


@settings(deadline=None)
@given(
    spill_bytes=st.sampled_from([1, 600, 1 << 30]),
    partitions=st.sampled_from([1, 2, 5]),
    inline_bytes=st.sampled_from([0, 1 << 16]),
)
def test_reducing_is_the_same_however_it_is_spilled_and_partitioned(
    tmp_path_factory: pytest.TempPathFactory, spill_bytes: int, partitions: int, inline_bytes: int
) -> None:
    folder = tmp_path_factory.mktemp("blobs")
    inputs = _leaves(folder, spill_bytes, partitions, inline_bytes)
    state = frames.state(folder, SUM, spill_bytes=spill_bytes)
    reduced = []
    for part in range(partitions):
        fields = {"partition": part, "partitions": partitions, "blob_stem": f"p{part}"}
        (segment,) = frames.run(state, frames.reduce(folder, inputs, **fields))
        assert segment[:3] == ["reduced", 0, part]
        reduced += segment[3]
    assert frames.pairs(reduced, folder) == [("a", 2), ("b", 4), ("c", 9), ("d", 7), ("e", 3)]


def test_a_leaf_whose_output_spilled_is_left_to_be_reduced_in_parts(tmp_path: Path) -> None:
    state = frames.state(tmp_path, WORDS, SUM, spill_bytes=100)
    small, large, last = run(
        state, tmp_path, [0, ""], [1, "abc" * 9], [2, ""], sections=4, inline_bytes=0
    )
    assert [s[4] for s in (small, large, last)] == [True, False, True]
    assert all(len(Payload.from_wire(wire).sections) == 4 for wire in large[3])


def test_a_leaf_whose_output_spilled_is_reduced_when_that_cannot_be_done_in_parts(
    tmp_path: Path,
) -> None:
    whole = reducer("for key, values in results: yield key, sum(values)")
    state = frames.state(tmp_path / "scratch", WORDS, whole, spill_bytes=100)
    (segment,) = run(state, tmp_path / "blobs", [1, "abc" * 9], sections=4)
    assert segment[4] is True
    assert output(segment, tmp_path / "blobs") == [("a", 9), ("b", 9), ("c", 9)]
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_combine_frame_combines_what_mappers_left(tmp_path: Path) -> None:
    combiner = frames.load("c", "combiner", "def handler(key, values): yield key, sum(values)")
    wires = [payload.to_wire() for payload in _leaves(tmp_path, 1 << 30, 1, 0)]
    frame = frames.work(
        "combine", tmp_path, vertex=3, attempt=1, combiner="c", inputs=wires, blob_stem="c"
    )
    (segment,) = frames.run(frames.state(tmp_path, combiner), frame)
    assert segment[:2] == ["combined", 3]
    assert frames.pairs(segment[2], tmp_path)[0] == ("a", 2)


def test_a_damaged_input_of_a_reducer_is_named(tmp_path: Path) -> None:
    inputs = _leaves(tmp_path, 1 << 30, 1, 0)
    (tmp_path / "b-0").write_bytes(b"")
    failure = failure_of(frames.run(frames.state(tmp_path, SUM), frames.reduce(tmp_path, inputs)))
    assert (failure.kind, failure.input) == ("blob", "b-0")


@pytest.mark.parametrize(
    "damaged", [{"count": 1}, {"count": 3}, {"pairs": values.pack(1) * 2}], ids=str
)
def test_a_damaged_chunk_fails_each_of_its_invocations(tmp_path: Path, damaged: Any) -> None:
    state = frames.state(tmp_path, mapper(ECHO), SUM)
    failures = run(state, tmp_path, [1, 1], [2, 2], **damaged)
    assert [segment[1] for segment in failures] == [1, 2, 3][: damaged.get("count", 2)]
    assert {segment[2]["kind"] for segment in failures} == {"blob"}


def test_durations_have_three_for_each_vertex(tmp_path: Path) -> None:
    (segment,) = run(frames.state(tmp_path, WORDS, SUM), tmp_path, *[[n, ""] for n in range(7)])
    assert len(array.array("I", segment[5])) == 21


def test_output_that_is_on_its_way_is_of_the_stage_that_wrote_it(tmp_path: Path) -> None:
    state = frames.state(tmp_path, mapper(ECHO), SUM)
    stages: list[str] = []

    def drain() -> None:
        if (invocation := state.scope.current) is not None:
            stages.append(invocation.stage)

    state.is_self_contained = False  # else nothing is drained
    state.drain = drain
    run(state, tmp_path, [1, 1])
    assert stages == ["mapper", "reducer"]


TOLD = "PRINT('mapped')\nyield Return()\nyield 'a', 1\nyield 'b', 2"
RAISES = "def handler(results):\n PRINT('reduced')\n raise ConnectionResetError('no')\n yield"


def test_a_reducer_that_fails_after_its_mapper_is_named_and_the_mapper_is_not(
    tmp_path: Path,
) -> None:
    state = frames.state(tmp_path, mapper(TOLD), reducer(RAISES))
    (segment,) = run(state, tmp_path, [1, 1], later_attempts={"combiner": {}, "reducer": {1: 4}})
    failure = msgspec.convert(segment[2], Failure)
    assert (segment[0], segment[5:]) == ("failed", ["reducer"])
    assert (failure.handler_name, failure.attempt, failure.input) == ("r", 4, None)
    assert failure.bases[:2] == ("ConnectionError", "OSError")
    assert segment[4] == {1: {"output": "mapped\n", "reducer_output": "reduced\n"}}


@pytest.mark.parametrize("inline_bytes", [0, 1 << 16])
@pytest.mark.parametrize("combiner", [None, "c"])
def test_a_reducer_that_may_be_tried_again_leaves_what_its_mapper_yielded_as_it_was(
    tmp_path: Path, inline_bytes: int, combiner: str | None
) -> None:
    spoils = "for _, values in results: values.clear()\nraise ValueError\nyield"
    same = frames.load(
        "c", "combiner", "def handler(results): return ((k, v[0]) for k, v in results)"
    )
    state = frames.state(tmp_path, mapper(TOLD), reducer(spoils), same)
    options = {"keeps": True, "inline_bytes": inline_bytes, "combiner": combiner}
    mapped, failed = run(state, tmp_path, [1, 1], **options)
    assert (mapped[:3], mapped[4], mapped[6]) == (
        ["returned", 1, 1], False, {1: {"output": "mapped\n"}}
    )  # fmt: skip
    assert output(mapped, tmp_path) == [("a", 1), ("b", 2)]
    assert (failed[0], failed[4], failed[5]) == ("failed", {}, "reducer")


@pytest.mark.parametrize("inline_bytes", [0, 1 << 16])
def test_what_was_kept_for_a_reducer_that_succeeds_is_removed(
    tmp_path: Path, inline_bytes: int
) -> None:
    state = frames.state(tmp_path, mapper(TOLD), SUM)
    (segment,) = run(state, tmp_path, [1, 1], [2, 2], keeps=True, inline_bytes=inline_bytes)
    assert segment[4] is True
    assert [path.name for path in tmp_path.iterdir() if "-k" in path.name] == []


@pytest.mark.parametrize("late", ["combiner", "reducer"])
def test_each_stage_of_a_trip_has_its_own_time_limit(tmp_path: Path, late: str) -> None:
    tells = "for k, v in results: yield k, INVOCATION.remaining_s()"
    quick = "for k, v in results: yield k, v[0]"
    sources = {"combiner": quick, "reducer": quick, late: tells}
    loads = [frames.load(kind[0], kind, source) for kind, source in sources.items()]
    state = frames.state(tmp_path, mapper("yield Return()\nyield 1, 1"), *loads)
    (segment,) = run(state, tmp_path, [1, 1], combiner="c", limits_s={late: 500.0})
    ((_, remaining_s),) = output(segment, tmp_path)
    assert 10.0 < remaining_s <= 500.0


def test_a_reducer_that_cannot_be_loaded_is_the_one_that_failed(tmp_path: Path) -> None:
    state = frames.state(tmp_path, mapper(TOLD), reducer("1 / 0\ndef handler(key, values): yield"))
    (segment,) = run(state, tmp_path, [1, 1], sections=8)
    assert (segment[2]["handler_name"], segment[5]) == ("r", "reducer")


def test_a_reducer_finds_no_decimal_context_of_its_mapper(tmp_path: Path) -> None:
    sets = "import decimal\ndecimal.getcontext().prec = 3\nyield Return()\nyield 1, 1"
    told = "import decimal\nfor k, v in results: yield k, decimal.getcontext().prec"
    (segment,) = run(frames.state(tmp_path, mapper(sets), reducer(told)), tmp_path, [1, 1])
    assert output(segment, tmp_path) == [(1, 28)]
