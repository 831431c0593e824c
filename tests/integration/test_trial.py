"""Handlers on trial: examples, ``jobx handler test`` and ``new``, and what authors test with."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner, Result

from jobx import meanings, model
from jobx.config import Settings
from jobx.config_sections import ExecutorSettings, RequestSettings, StoreSettings
from jobx.errors import DeadlineExceeded, HandlerFailed, InvalidInput, NotFound, RequestFailed
from jobx.handlers.trial.examples import check_examples, checking
from jobx.kv.opening import open_store
from jobx.testing import LocalWorkflow, run_handler
from jobx.tools.cli import main
from tests.support.authoring import handler
from tests.support.etcd import Etcd
from tests.support.languages import JAVASCRIPT

COUNT = (
    "def handler(text):\n    yield Return()\n    for word in text.split():\n        yield word, 1\n"
)
ADD_UP = "def handler(key, values):\n    yield key, sum(values)\n"
FILES = {
    "count": ("mapper", COUNT),
    "add_up": ("reducer", ADD_UP),
    "spread": (
        "mapper",
        "yield Map('count')\nyield 'x', {'text': 'b a'}\nyield 'y', {'text': 'a'}\n",
    ),
    "sleep": ("mapper", "import time\nyield Return()\ntime.sleep(60)\n"),
    "leave": ("mapper", "S_SET('lang', 'en')\nprint('here I am')\nyield Return()\nyield 'k', 1\n"),
    "lang": ("reducer", "for key, values in results:\n    yield key, S_GET('lang')\n"),
    "break": ("reducer", "for key, values in results:\n    raise LookupError(key)\nyield\n"),
    "die": ("mapper", "import os\nyield Return()\nos._exit(3)\n"),
}

Jobx = Callable[..., Result]
Check = Callable[[model.Handler], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Handler files, as their authors would write them."""
    folder = tmp_path / "handlers"
    folder.mkdir()
    for name, (kind, body) in FILES.items():
        write(folder / f"{name}.py", kind, body)
    return folder


def write(file: Path, kind: str, body: str, metadata: str = "") -> None:
    file.write_text(f'"""\nA test.\n**\nhandler_type: {kind}\n{metadata}"""\n{body}')


@pytest.fixture
def jobx(folder: Path) -> Jobx:
    """Run ``jobx handler`` with words; a word that names a file stands for its path."""

    def invoke(*words: str) -> Result:
        known = [str(folder / word) if (folder / word).is_file() else word for word in words]
        return CliRunner().invoke(main, ["handler", *known])

    return invoke


@pytest.fixture(scope="module")
def check() -> Iterator[Check]:
    with checking(Settings(), os.environ) as check:
        yield check


def with_example(kind: str, source: str, arguments: object, expected: list[Any]) -> model.Handler:
    example = model.Example(arguments=arguments, expected=expected)
    return handler("h", kind, source, examples=(example,))


PAIR = "def handler(key, value):\n    yield Return()\n    yield key, value\n"


@pytest.mark.parametrize(
    ("kind", "source", "arguments", "expected"),
    [
        ("mapper", COUNT, {"text": "b a b"}, [["a", 1], ["b", 1], ["b", 1]]),
        ("mapper", "yield Return()\nyield len(arguments), 0\n", None, [[0, 0]]),
        ("mapper", PAIR, ["k", {"v": [1]}], [["k", {"v": [1]}]]),
        ("mapper", PAIR, [[1, "a"], {"$bytes": "AA=="}], [[[1, "a"], {"$bytes": "AA=="}]]),
        ("mapper", "yield Map('s')\nyield 2, 0\nyield 1, 0\n", None, [[1, 0], [2, 0]]),
        ("mapper", "yield Return()\n", None, []),
        ("mapper", "def handler():\n    yield Return()\n    yield 1, 2\n", None, [[1, 2]]),
        ("reducer", ADD_UP, [["b", [1, 2]], ["a", []]], [["a", 0], ["b", 3]]),
        ("reducer", ADD_UP, [["b", [1, 2]]], [["b", 3.0]]),
        ("combiner", ADD_UP, [["a", [1]]], [["a", 1]]),
    ],
)
def test_example_that_holds_is_accepted(
    kind: str, source: str, arguments: object, expected: list[Any], check: Check
) -> None:
    check(with_example(kind, source, arguments, expected))


@pytest.mark.parametrize(
    ("kind", "source", "example", "reason"),
    [
        ("mapper", COUNT, ({"text": "a"}, [["a", 2]]), r'must give \[\["a", 2\]\] \(got .*"a", 1'),
        ("mapper", COUNT, ({"text": "a"}, []), "it must give"),
        ("mapper", COUNT, ({"text": 1}, []), "it fails: .*no attribute 'split'"),
        ("mapper", COUNT, ({"txet": "a"}, []), "it fails: argument text is missing"),
        ("mapper", "yield Return()\nyield 1, 1\n", (None, [[True, 1]]), "it must give"),
        ("mapper", "import os\nyield os._exit(0)\n", (None, []), "it fails: it ended the process"),
        ("mapper", PAIR, (["k"], []), "arguments: a pair must be a list of two"),
        ("mapper", PAIR, ("k", []), "arguments: must be a map, or a list"),
        ("mapper", PAIR, (["k", 1], [["k"]]), "expected: a pair must be a list of two"),
        ("mapper", PAIR, (["k", 1], [[{"a": 1}, 1]]), "expected: a dict cannot be a key"),
        ("reducer", ADD_UP, ([["a", [1]]], [["a", True]]), "it must give"),
        ("reducer", ADD_UP, ({"a": [1]}, []), "arguments: must be a list"),
        ("reducer", ADD_UP, ([["a", 1]], []), "arguments, values: must be a list"),
    ],
)
def test_example_that_does_not_hold_is_refused_by_its_number_and_reason(
    kind: str, source: str, example: tuple[object, list[Any]], reason: str, check: Check
) -> None:
    with pytest.raises(InvalidInput, match=f"^example 1 of handler h.*{reason}"):
        check(with_example(kind, source, *example))


def test_example_does_not_see_what_another_left_in_the_module(check: Check) -> None:
    source = (
        "seen = []\ndef handler(arguments):\n    yield Return()\n    seen.append(1)\n"
        "    yield 'n', len(seen)\n"
    )
    example = model.Example(arguments={}, expected=[["n", 1]])

    check(handler("h", "mapper", source, examples=(example, example)))


def test_handler_without_examples_starts_no_process() -> None:
    check_examples(handler("h", "mapper", COUNT), Settings(), {"PYTHONHOME": "/nowhere"})


def test_mapper_runs_on_arguments(folder: Path) -> None:
    result = run_handler(folder / "count.py", arguments={"text": "b a b"})

    assert result.pairs == [("a", 1), ("b", 1), ("b", 1)]
    assert (result.step, result.failure) == (None, None)


def test_mapper_that_maps_on_shows_the_step_and_its_pairs_as_yielded(folder: Path) -> None:
    result = run_handler(folder / "spread.py")

    assert (result.step, [key for key, _ in result.pairs]) == ("count", ["x", "y"])


def test_what_a_mapper_prints_and_leaves_is_shown(folder: Path) -> None:
    result = run_handler(folder / "leave.py")

    assert (result.output, result.session) == ("here I am\n", {"lang": "en"})


def test_reducer_reads_the_session_that_it_is_given(folder: Path) -> None:
    result = run_handler(folder / "lang.py", results=[("k", [1])], session={"lang": "en"})

    assert result.pairs == [("k", "en")]


def test_exception_of_an_author_is_a_failure_with_its_own_lines(folder: Path) -> None:
    result = run_handler(folder / "break.py", results=[("k", [1])])
    failure = result.failure

    with pytest.raises(HandlerFailed, match="handler break failed: LookupError: k"):
        assert result.pairs == []
    assert failure is not None
    assert (failure.kind, failure.type, failure.message) == ("author", "LookupError", "k")
    assert "raise LookupError(key)" in failure.traceback


def test_handler_that_ends_its_process_is_a_crash(folder: Path) -> None:
    failure = run_handler(folder / "die.py").failure

    assert failure is not None
    assert (failure.kind, failure.type) == ("crash", "ExecutorCrashed")


def test_handler_that_takes_too_long_is_a_timeout(folder: Path) -> None:
    limits = Settings(requests=RequestSettings(invocation_time_limit_s=0.2))
    failure = run_handler(folder / "sleep.py", settings=limits).failure

    assert failure is not None
    assert (failure.kind, failure.type) == ("timeout", "HandlerTimeout")


def test_result_that_is_too_large_for_a_frame_is_read_all_the_same(folder: Path) -> None:
    limits = Settings(executors=ExecutorSettings(inline_bytes=10))
    words = [f"word{number:04}" for number in range(1000)]
    result = run_handler(folder / "count.py", arguments={"text": " ".join(words)}, settings=limits)

    assert [key for key, _ in result.pairs] == words


@pytest.mark.parametrize(
    ("file", "given"),
    [
        ("count.py", {"results": [("k", [1])]}),
        ("count.py", {"session": {"lang": "en"}}),
        ("add_up.py", {"arguments": {"text": "a"}}),
        ("add_up.py", {"pair": ("k", 1)}),
    ],
)
def test_what_is_for_another_type_of_handler_is_refused(
    file: str, given: dict[str, Any], folder: Path
) -> None:
    with pytest.raises(InvalidInput, match=file):
        run_handler(folder / file, **given)


def test_file_that_is_not_a_handler_is_refused(folder: Path) -> None:
    (folder / "bare.py").write_text("yield 1\n")
    with pytest.raises(InvalidInput, match="bare, header"):
        run_handler(folder / "bare.py")


def test_job_runs_through_all_its_steps(folder: Path, tmp_path: Path) -> None:
    write(folder / "add_up_too.py", "combiner", ADD_UP)
    steps = {"count": ("count", "add_up_too", "add_up"), "spread": ("spread", None, "add_up")}
    with LocalWorkflow(folder, steps, tmp_path / "d") as workflow:
        result = workflow.run("spread")

    assert (result.state, result.pairs) == ("succeeded", [("a", 2), ("b", 1)])
    assert result.trace is not None
    assert result.trace.root is not None
    assert len(result.trace.root.children) == 3


@pytest.mark.parametrize("scheme", ["etcd", "etcd2"])
def test_workflow_on_etcd_has_keys_of_its_own_and_leaves_none(
    scheme: str, folder: Path, tmp_path: Path, etcd: Etcd
) -> None:
    steps = {"count": ("count", None, "add_up")}
    root = f"{etcd.url_of(scheme)}/{uuid.uuid4().hex}"
    settings = Settings(store=StoreSettings(url=root))
    for name in ("one", "two"):
        with LocalWorkflow(folder, steps, tmp_path / name, settings=settings) as workflow:
            assert workflow.run("count", {"text": "a"}).pairs == [("a", 1)]
    with closing(open_store(settings)) as store:
        assert store.range("") == []


def test_failed_job_says_why_and_the_next_one_runs(folder: Path, tmp_path: Path) -> None:
    steps = {"count": ("count", None, "add_up"), "break": ("count", None, "break")}
    with LocalWorkflow(folder, steps, tmp_path / "d") as workflow:
        failed = workflow.run("break", {"text": "a"})
        after = workflow.run("count", {"text": "a"})

    assert (failed.state, after.pairs) == ("failed", [("a", 1)])
    with pytest.raises(RequestFailed, match="LookupError"):
        assert failed.pairs == []
    assert failed.failure is not None
    assert failed.failure.handler_name == "break"


def test_job_that_takes_too_long_is_given_up(folder: Path, tmp_path: Path) -> None:
    steps = {"sleep": ("sleep", None, "add_up")}
    with (
        LocalWorkflow(folder, steps, tmp_path / "d", timeout_s=0.5) as workflow,
        pytest.raises(DeadlineExceeded, match="sleep"),
    ):
        workflow.run("sleep")


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        ({"s": ("nope", None, "add_up")}, NotFound),
        ({"s": ("add_up", None, "add_up")}, InvalidInput),
        ({"No Name": ("count", None, "add_up")}, InvalidInput),
    ],
)
def test_workflow_that_does_not_fit_together_is_refused(
    steps: dict[str, tuple[str, None, str]], error: type[Exception], folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(error), LocalWorkflow(folder, steps, tmp_path / "d"):
        pass


def test_command_runs_a_mapper_on_arguments(jobx: Jobx) -> None:
    result = jobx("test", "count.py", "-a", "text=b a")

    assert (result.exit_code, result.stdout) == (meanings.OK, '["a", 1]\n["b", 1]\n')


def test_command_shows_step_session_and_output(jobx: Jobx) -> None:
    assert jobx("test", "spread.py").stdout.startswith('maps to count:\n["x", {"text": "b a"}]\n')
    left = '["k", 1]\nsession: {"lang": "en"}\noutput:\nhere I am\n'
    assert jobx("test", "leave.py").stdout == left


def test_command_runs_a_mapper_on_a_pair_and_a_reducer_on_results(jobx: Jobx, folder: Path) -> None:
    write(folder / "pair.py", "mapper", PAIR)

    assert jobx("test", "pair.py", "--pair", '["k", {"v": 1}]').stdout == '["k", {"v": 1}]\n'
    results = ("--results", '[["k", [1, 2]]]')
    assert jobx("test", "add_up.py", *results).stdout == '["k", 3]\n'
    assert jobx("test", "lang.py", *results, "--session", "lang=en").stdout == '["k", "en"]\n'


def test_command_exits_1_when_the_handler_fails(jobx: Jobx) -> None:
    result = jobx("test", "break.py", "--results", '[["k", [1]]]')

    assert result.exit_code == meanings.FAILED
    assert "raise LookupError(key)" in result.stdout
    assert result.stdout.endswith("failed: LookupError: k (in break)\n")


def test_command_writes_json_with_values_tagged_once(jobx: Jobx, folder: Path) -> None:
    write(folder / "bytes.py", "mapper", "yield Return()\nyield b'k', {'$bytes': 1}\n")
    shown = json.loads(jobx("test", "bytes.py", "--json").stdout)

    assert shown["pairs"] == [[{"$bytes": "aw=="}, {"$map": [["$bytes", 1]]}]]
    assert set(shown) == {"pairs", "step", "output", "session", "failure"}


def test_command_without_input_runs_the_examples(jobx: Jobx, folder: Path) -> None:
    examples = "examples: [{arguments: {text: a b}, expected: [[a, 1], [b, 1]]}]\n"
    write(folder / "good.py", "mapper", COUNT, examples)
    write(folder / "bad.py", "mapper", COUNT, examples.replace("[b, 1]", "[b, 2]"))

    assert jobx("test", "good.py").stdout == "1 example holds\n"
    refused = jobx("test", "bad.py")
    assert (refused.exit_code, refused.stdout) == (meanings.INVALID, "")
    assert refused.stderr.startswith("jobx: example 1 of handler bad: it must give")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("count.py", "--results", "[]"), "a mapper takes -a or --pair"),
        (("count.py", "--pair", "["), "--pair: is not JSON"),
        (("count.py", "--pair", '["k"]'), "--pair: a pair must be a list of two"),
        (("count.py", "-a", "text"), "argument: must be NAME=VALUE"),
        (("add_up.py", "-a", "text=a"), "a reducer takes --results"),
        (("add_up.py", "--results", '{"k": 1}'), "--results: must be a list"),
        (("add_up.py", "--results", '[["k", 1]]'), "--results, values: must be a list"),
    ],
)
def test_command_refuses_wrong_input_in_one_line(
    words: tuple[str, ...], reason: str, jobx: Jobx
) -> None:
    result = jobx("test", *words)

    assert (result.exit_code, result.stdout) == (meanings.INVALID, "")
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["count.txt", "Count It.py"])
def test_command_refuses_a_file_that_makes_no_handler(
    name: str, jobx: Jobx, tmp_path: Path
) -> None:
    (tmp_path / name).write_text("x")
    result = CliRunner().invoke(main, ["handler", "test", str(tmp_path / name)])

    assert (result.exit_code, result.stderr.count("\n")) == (meanings.INVALID, 1)


def test_command_refuses_a_source_that_is_not_text(jobx: Jobx, folder: Path) -> None:
    (folder / "binary.py").write_bytes(b"\xff\xfe")

    assert jobx("test", "binary.py").exit_code == meanings.INVALID


@pytest.mark.parametrize("kind", get_args(model.HandlerType))
@pytest.mark.parametrize(
    ("language", "ending"),
    [("python", ".py"), ("javascript", ".js"), ("shell", ".sh"), ("executable", ".exec")],
)
def test_examples_of_a_new_handler_hold(
    language: str, ending: str, kind: str, jobx: Jobx, folder: Path
) -> None:
    if language == "javascript":
        JAVASCRIPT.need()
    path = folder / f"new{ending}"
    path.write_text(jobx("new", "--type", kind, "--language", language).stdout)

    assert jobx("test", path.name).stdout == "1 example holds\n"


def test_new_handler_in_an_unknown_language_is_refused(jobx: Jobx) -> None:
    result = jobx("new", "--language", "cobol")

    assert (result.exit_code, "python" in result.stderr) == (meanings.INVALID, True)


def test_sync_refuses_a_handler_whose_example_does_not_hold_and_stores_the_others(
    folder: Path, tmp_path: Path
) -> None:
    write(folder / "bad.py", "mapper", COUNT, "examples: [{arguments: {text: a}, expected: []}]\n")
    store = ["--data", str(tmp_path / "d"), "--json"]
    CliRunner().invoke(main, ["workflow", "create", "w", "d", *store])
    result = CliRunner().invoke(main, ["handler", "sync", "w", str(folder), *store])

    assert result.exit_code == meanings.INVALID
    actions = {row["handler"]: row["action"] for row in json.loads(result.stdout)["handlers"]}
    assert actions == dict.fromkeys(FILES, "added") | {"bad": "refused"}
