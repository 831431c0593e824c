"""What every language does alike, whatever runs its handlers."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict

from jobx.errors import InvalidInput
from jobx.handlers.execution.state import ExecutorState
from jobx.handlers.languages import processor
from jobx.handlers.languages.guests import Guests
from jobx.handlers.scope.names import Scope
from jobx.work import Leave
from tests.support import frames
from tests.support.executors import ExecutorHost
from tests.support.guests import (
    FUEL,
    MEMORY_BYTES,
    PROGRAMS,
    children,
    failed,
    hosting,
    pairs,
    run,
)
from tests.support.languages import JAVASCRIPT, LANGUAGES, PYTHON, Language
from tests.support.waiting import eventually

WORDS = "jobx runs jobs"


#: Python's handlers run in the executor itself, those of other languages in guests.
of_guests = pytest.mark.parametrize(
    "language",
    [language for language in LANGUAGES if language is not PYTHON],
    ids=lambda language: language.name,
    indirect=True,
)


@pytest.fixture(params=LANGUAGES, ids=lambda language: language.name)
def language(request: pytest.FixtureRequest) -> Language:
    found: Language = request.param
    found.need()
    return found


@pytest.fixture
def guests(tmp_path: Path) -> Iterator[Guests]:
    with hosting(tmp_path) as made:
        yield made


def load(language: Language, version: str, kind: str, what: str, **fields: Any) -> dict[str, Any]:
    source = getattr(language, what)
    return frames.load(version, kind, source, source_type=language.name, **fields)


def state(guests: Guests, language: Language, **handlers: str) -> ExecutorState:
    """Return the state of an executor with mapper ``m``, combiner ``c``, reducer ``r``."""
    kinds = {"m": "mapper", "c": "combiner", "r": "reducer"}
    loads = [load(language, name, kinds[name], what) for name, what in handlers.items()]
    return frames.state(Path(guests.folder), *loads, guests=guests)


def root(state: ExecutorState, **arguments: Any) -> Any:
    """Run the first mapper and its reducer; return their segment."""
    (segment,) = run(state, list(map(list, arguments.items())), root=True, first=0)
    return segment


def test_a_first_mapper_gets_its_arguments(guests: Guests, language: Language) -> None:
    made = state(guests, language, m="letters")
    assert pairs(made, run(made, [["text", "ab"]], root=True, reducer=None)[0]) == [
        ("a", 1),
        ("b", 1),
    ]


def test_a_child_gets_its_pair(guests: Guests, language: Language) -> None:
    made = state(guests, language, m="echo")
    segments = run(made, [1, 2], [3, 4], reducer=None)
    assert [pairs(made, segment) for segment in segments] == [[(1, 2)], [(3, 4)]]


def test_arguments_are_cast_to_the_types_of_the_spec(guests: Guests, language: Language) -> None:
    made = state(guests, language)
    spec = [["text", "str"]]
    made.load(load(language, "m", "mapper", "letters", argument_spec=spec))
    assert pairs(made, run(made, [["text", 77]], root=True, reducer=None)[0]) == [
        ("7", 1),
        ("7", 1),
    ]
    (segment,) = run(made, [["name", "x"]], root=True)
    assert failed(segment)["kind"] == "arguments"


def test_a_combiner_and_a_reducer_add_up(guests: Guests, language: Language) -> None:
    made = state(guests, language, m="letters", c="add_up", r="add_up")
    (segment,) = run(made, [["text", "abab"]], root=True, combiner="c")
    assert pairs(made, segment) == [("a", 2), ("b", 2)]


def test_a_reducer_over_results_sees_all_keys_in_one_call(
    guests: Guests, language: Language
) -> None:
    made = state(guests, language, m="letters", r="total")
    assert pairs(made, root(made, text="abc")) == [("keys", 3)]


def test_a_reducer_over_nothing_is_fine(guests: Guests, language: Language) -> None:
    made = state(guests, language, m="letters", r="add_up")
    assert pairs(made, root(made, text="")) == []


def test_the_same_job_returns_identical_bytes_in_every_language(
    guests: Guests, language: Language
) -> None:
    expected = root(state(guests, PYTHON, m="letters", r="add_up"), text=WORDS)
    assert root(state(guests, language, m="letters", r="add_up"), text=WORDS)[3] == expected[3]


def test_mappers_that_map_on_take_turns(guests: Guests, language: Language) -> None:
    made = state(guests, language, m="spread")
    segments = run(made, [1, 7], [2, 8], chunk_pairs=2, reducer=None)
    assert [segment[:3] for segment in segments] == [["mapped", 1, "next"], ["mapped", 2, "next"]]
    seen = {segment[1]: children(made, segment) for segment in segments}
    while pending := [segment[1] for segment in segments if segment[5]]:
        segments = [pull(made, vertex) for vertex in pending]
        for segment in segments:
            seen[segment[1]] += children(made, segment)
    assert seen == {key: [[n, key] for n in range(5)] for key in (1, 2)}
    sessions = [segment[7][segment[1]]["session"] for segment in segments]
    assert sessions == [{"mine": 1}, {"mine": 2}]


def pull(made: ExecutorState, vertex: int) -> Any:
    fields = {"mapper": "m", "combiner": None, "reducer": None, "vertex": vertex}
    folder = Path(made.guests.folder)
    (segment,) = frames.run(made, frames.work("pull", folder, **fields, chunk_pairs=2))
    return segment


def test_a_suspended_mapper_may_be_dropped(guests: Guests, language: Language) -> None:
    made = state(guests, language, m="spread", r="add_up")
    run(made, [1, 7], chunk_pairs=2, reducer=None)
    made.drop("r1", None)
    (segment,) = run(made, [2, 8], chunk_pairs=10, reducer=None)
    assert children(made, segment) == [[n, 2] for n in range(5)]


def test_what_a_mapper_sets_in_the_session_is_kept(guests: Guests, language: Language) -> None:
    made = state(guests, language, m="keep")
    (segment,) = run(made, [1, 1], reducer=None)
    assert segment[6] == {1: {"session": {"word": "x"}}}


def test_a_reducer_reads_the_session(guests: Guests, language: Language) -> None:
    made = state(guests, language, r="kept")
    folder = Path(guests.folder)
    (segment,) = frames.run(made, frames.reduce(folder, [], session={"word": "x"}))
    assert frames.pairs(segment[3], folder) == [("word", "x")]


# What Python's handlers write is the executor's: see tests/integration/test_executor.py.
@of_guests
def test_what_is_written_and_logged_is_captured_in_order(
    guests: Guests, language: Language
) -> None:
    (segment,) = run(state(guests, language, m="talk"), [1, 1], reducer=None)
    assert segment[6] == {1: {"output": "hello\nWARNING r1/m1: careful\n"}}


def test_an_error_names_the_line_of_the_author(guests: Guests, language: Language) -> None:
    made = state(guests, language, m="fail", r="add_up")
    failure = failed(run(made, [1, 1])[0])
    assert (failure["kind"], failure["handler_name"], failure["input"]) == ("author", "m", "[1, 1]")
    assert re.search(r'File "<handler m>", line 5, in \S+\n', failure["traceback"]), failure
    assert "boom" in failure["message"]


def test_a_batch_goes_on_after_an_error(guests: Guests, language: Language) -> None:
    made = state(guests, language, m="fail")
    assert [segment[0] for segment in run(made, [1, 1], [2, 2])] == ["failed", "failed"]


def test_a_pair_that_is_none_is_named_by_its_index(guests: Guests, language: Language) -> None:
    made = state(guests, language, m="bad_pair", r="add_up")
    failure = failed(run(made, [1, 1])[0])
    assert (failure["kind"], failure["type"], failure["pair"]) == ("pair", "PairError", 1)


def test_the_handler_runs_again_after_a_bad_pair(guests: Guests, language: Language) -> None:
    made = state(guests, language, m="bad_pair", r="add_up")
    failures = [failed(segment)["pair"] for segment in run(made, [1, 1], [2, 2])]
    assert failures == [1, 1]


def test_a_check_accepts_every_handler(language: Language) -> None:
    reducers = ("add_up", "total", "kept")
    for field in dataclasses.fields(language):
        if field.name not in ("name", "broken"):
            kind = "reducer" if field.name in reducers else "mapper"
            processor(language.name).check(getattr(language, field.name), kind)


def test_a_check_refuses_wrong_syntax(language: Language) -> None:
    with pytest.raises(InvalidInput, match=r"line \d|module"):
        processor(language.name).check(language.broken, "mapper")


def test_what_runs_in_a_guest_is_self_contained_unless_a_factory_adds_names(
    guests: Guests, language: Language
) -> None:
    handler = asdict(load(language, "m", "mapper", "letters"))
    own = Scope().extended({"COUNT": len})
    is_self_contained = [
        processor(language.name).load(handler, scope, guests).is_self_contained
        for scope in (Scope(), own)
    ]
    assert is_self_contained == [True, False]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExecutorHost]:
    config = {"programs": PROGRAMS, "wasm_fuel": FUEL, "wasm_memory_bytes": MEMORY_BYTES}
    with ExecutorHost(tmp_path_factory.mktemp("node"), memory_bytes=4 << 30, **config) as made:
        yield made


def test_an_endless_handler_is_ended_at_its_time_limit_and_the_executor_goes_on(
    node: ExecutorHost, language: Language, tmp_path: Path
) -> None:
    executor = node.spawn()
    handlers = [load(language, "m", "mapper", "spin"), load(language, "e", "mapper", "echo")]
    endless = frames.map_(tmp_path, [[1, 1]], time_limit_s=1.0)
    failure = failed(executor.ask(*handlers, endless)["segments"][0])
    assert (failure["kind"], failure["type"]) == ("timeout", "HandlerTimeout")
    for _ in range(2):  # it does not leave after the first either
        after = executor.ask(frames.map_(tmp_path, [[1, 2]], mapper="e", reducer=None))
        assert after["segments"][0][0] == "returned"


@of_guests
def test_a_guest_that_dies_fails_its_invocation_and_the_executor_goes_on(
    node: ExecutorHost, language: Language, tmp_path: Path
) -> None:
    executor = node.spawn()
    handlers = [load(language, "m", "mapper", "die"), load(language, "e", "mapper", "echo")]
    failure = failed(executor.ask(*handlers, frames.map_(tmp_path, [[1, 1]]))["segments"][0])
    expected = ("author", "Trap") if language.name == "wasm" else ("crash", "GuestCrashed")
    assert (failure["kind"], failure["type"]) == expected
    for _ in range(2):  # it does not leave after the first either
        after = executor.ask(frames.map_(tmp_path, [[1, 2]], mapper="e", reducer=None))
        assert after["segments"][0][0] == "returned"


def test_guests_go_with_their_executor(node: ExecutorHost, tmp_path: Path) -> None:
    language = JAVASCRIPT
    language.need()
    executor = node.spawn()
    executor.ask(
        load(language, "e", "mapper", "echo"),
        frames.map_(tmp_path, [[1, 2]], mapper="e", reducer=None),
    )
    (guest,) = Path(f"/proc/{executor.pid}/task/{executor.pid}/children").read_text().split()
    executor.frames.send(Leave())
    eventually(lambda: not Path(f"/proc/{guest}").exists(), timeout_s=60)
