"""A real node: what authors do to it, and what it does for them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jobx.actors import coordinator, executors
from jobx.actors.messages import Ran
from jobx.actors.request.state import PARTITIONS
from jobx.model import Failure, Retry
from jobx.views import Outcome, TraceNode, TraceView
from tests.support.authoring import WORKFLOW, define, handler
from tests.support.live_node import LiveNode, live_node, outcome_of, pairs_of
from tests.support.processes import alive, parent, words
from tests.support.waiting import eventually

Start = Callable[..., LiveNode]

#: Maps ``n`` numbers to the step ``each``.
FAN = """
def handler(arguments):
    yield Map("each")
    for number in range(arguments["n"]):
        yield number, number
"""
COUNT = "def handler(key, value):\n    yield Return()\n    yield 'n', 1\n"
ANSWER = "def handler(arguments):\n    yield Return()\n    yield 'answer', 42\n"
#: Sleeps so many milliseconds.
SLEEP = """
import time
def handler(arguments):
    yield Return()
    time.sleep(arguments["ms"] / 1000)
    yield "slept", 1
"""
SLOW = SLEEP.replace("arguments", "key, value", 1).replace('arguments["ms"]', "MS")
#: Returns once a file is there.
GATE = """
import os, time
def handler(key, value):
    yield Return()
    while not os.path.exists(value):
        time.sleep(0.01)
    yield "VERSION", 1
"""
FAN_GATE = """
def handler(arguments):
    yield Map("each")
    for number in range(3):
        yield number, arguments["gate"]
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a node with the workflow ``w`` as ``define`` makes it."""
    with ExitStack() as stack:

        def run(
            handlers: Mapping[str, str],
            steps: Mapping[str, tuple[str, ...]],
            options: Mapping[str, Mapping[str, Any]] | None = None,
            **flags: Any,
        ) -> LiveNode:
            define(tmp_path, handlers, steps, **(options or {}))
            return stack.enter_context(live_node(tmp_path, **flags))

        yield run


def mapper(body: str) -> dict[str, str]:
    """Return a handler ``bad`` that runs ``body`` and then returns the number of its process."""
    lines = [
        "import ctypes, os, signal, subprocess, sys, threading, time",
        "def handler(arguments):",
        "    yield Return()",
        *(f"    {line}" for line in body.splitlines()),
        "    yield 'pid', os.getpid()",
    ]
    return {"bad": "\n".join(lines) + "\n", "good": ANSWER}


DEAF = "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))"
BAD = {"bad": ("bad", "sum"), "good": ("good", "sum")}


def failure_of(outcome: Outcome) -> Failure:
    """Return why a request failed, which it must have."""
    assert outcome.request.state == "failed"
    assert outcome.request.failure is not None
    return outcome.request.failure


def trace_of(node: LiveNode, outcome: Outcome) -> TraceNode:
    """Return the root of a request's trace."""
    request_id = outcome.request.request_id
    answer = node.ask("request.trace", workflow=WORKFLOW, request_id=request_id)
    root = msgspec.convert(answer, TraceView).root
    assert root is not None
    return root


def kinds_of(root: TraceNode) -> list[tuple[str, str]]:
    """Return kind and state of the invocations in a trace, parents first."""
    below = [pair for child in root.children for pair in kinds_of(child)]
    return [(root.kind, root.state), *below]


# what authors do to an executor


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ("os._exit(3)", "crash", "exited with code 3"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "crash", "SIGKILL"),
        ("ctypes.string_at(0)", "crash", "SIGSEGV"),
        ("os.abort()", "crash", "SIGABRT"),
        ("os.closerange(0, 4096)", "crash", "exited with code"),
        (f"{DEAF}\nos.closerange(0, 4096)\nwhile True: pass", "crash", "closed its connection"),
        ("sys.exit('enough')", "author", "enough"),
        ("raise KeyboardInterrupt", "author", ""),
        ("while True: time.sleep(0.01)", "timeout", "longer than"),
        ("subprocess.run(['sleep', '60'])", "timeout", "longer than"),
        (f"{DEAF}\nwhile True: pass", "timeout", "longer than"),
        ("os.kill(os.getpid(), signal.SIGSTOP)", "timeout", "longer than"),
        ("bytearray(1 << 40)", "memory", ""),
    ],
)
def test_executor_that_its_author_breaks_fails_that_request_alone(
    body: str, kind: str, text: str, start: Start
) -> None:
    node = start(mapper(body), BAD, {"bad": {"time_limit_s": 0.5}})

    bad, good = node.post_later("bad", {}), node.post_later("good", {})

    failure = failure_of(outcome_of(bad))
    assert (failure.kind, failure.invocation_id, failure.handler_name) == (kind, "m0", "bad")
    assert text in failure.message
    assert failure.attempt == (4 if kind == "crash" else 1)
    assert pairs_of(outcome_of(good)) == pairs_of(node.post("good", {})) == [("answer", 42)]


@pytest.mark.parametrize(
    "body",
    [
        "threading.Thread(target=time.sleep, args=(60,)).start()",
        "subprocess.Popen(['sleep', '61.5'])",
        "os.close(0); os.close(1); os.close(2)",
        "os.chdir('/'); os.rmdir(os.environ['TMPDIR'])",
        "for number in range(1, 32):\n    signal.pthread_sigmask(signal.SIG_BLOCK, [number])",
    ],
)
def test_executor_that_is_left_in_disorder_still_gives_its_result(body: str, start: Start) -> None:
    node = start(mapper(body), BAD)

    ((_, pid),) = pairs_of(node.post("bad", {}))

    assert pid > 0
    assert pairs_of(node.post("good", {})) == [("answer", 42)]
    eventually(node.is_idle)


def test_executor_with_a_thread_left_behind_is_replaced(start: Start) -> None:
    node = start(mapper("threading.Thread(target=time.sleep, args=(60,)).start()"), BAD)

    ((_, pid),) = pairs_of(node.post("bad", {}))

    eventually(lambda: not alive(pid))
    eventually(lambda: len(node.pids()) == 2)


def test_program_left_behind_is_gone_with_its_executor(start: Start) -> None:
    node = start(mapper("subprocess.Popen(['sleep', '61.25'])"), BAD)

    pairs_of(node.post("bad", {}))

    eventually(lambda: not programs("61.25"))


def programs(argument: str) -> list[int]:
    """Return the processes that were started with an argument."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and alive(int(entry)) and argument in _words(int(entry)):
            found.append(int(entry))
    return found


def _words(pid: int) -> list[str]:
    try:
        return words(pid)
    except OSError:
        return []


def test_flood_of_output_is_cut_and_harms_nothing(start: Start) -> None:
    node = start(mapper("for _ in range(20_000): print('x' * 1000)"), BAD)

    outcome = node.post("bad", {})

    output = trace_of(node, outcome).output
    assert output is not None
    assert 60_000 < len(output) < 70_000


def test_poison_input_is_named_and_hurts_nobody_else(start: Start) -> None:
    poison = COUNT + "    if value == 637:\n        import os; os._exit(1)\n"
    node = start(
        {"fan": FAN, "each": poison, "other": FAN, "count": COUNT},
        {"fan": ("fan", "sum"), "each": ("each", "sum")},
    )

    bad = node.post_later("fan", {"n": 1000})
    good = node.post_later("fan", {"n": 600})

    failure = failure_of(outcome_of(bad))
    assert (failure.kind, failure.attempt, failure.input) == ("crash", 4, "[637, 637]")
    assert failure.invocation_id == "m638"
    assert pairs_of(outcome_of(good)) == [("n", 600)]


def test_death_of_an_executor_is_made_good(start: Start) -> None:
    node = start(
        {"fan": FAN, "each": SLOW.replace("MS", "2")},
        {"fan": ("fan", "sum"), "each": ("each", "sum")},
    )

    running = node.post_later("fan", {"n": 500})
    for _ in range(3):
        pid = eventually(lambda: node.pids()[0])
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: pid not in node.pids())  # noqa: B023 - called at once

    assert pairs_of(outcome_of(running)) == [("slept", 500)]


def test_death_of_the_fork_server_is_made_good(start: Start, tmp_path: Path) -> None:
    node = start(
        {"fan": FAN, "each": SLOW.replace("MS", "2")},
        {"fan": ("fan", "sum"), "each": ("each", "sum")},
    )
    old = node.pids()

    running = node.post_later("fan", {"n": 500})
    os.kill(parent(old[0]), signal.SIGKILL)

    assert pairs_of(outcome_of(running)) == [("slept", 500)]
    assert not any(map(alive, old))
    assert len(list((tmp_path / "tmp").glob("*"))) == 2


def test_program_of_an_executor_goes_with_the_fork_server(start: Start) -> None:
    node = start(mapper("subprocess.run(['sleep', '61.75'])"), BAD)
    running = node.post_later("bad", {}, time_limit_s=5.0)
    eventually(lambda: programs("61.75"))
    first = programs("61.75")

    os.kill(parent(node.pids()[0]), signal.SIGKILL)

    eventually(lambda: not any(map(alive, first)))
    assert failure_of(outcome_of(running)).kind == "timeout"


def test_executor_that_stands_still_before_it_begins_is_replaced(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "START_S", 0.5)
    node = start({"good": ANSWER}, {"good": ("good", "sum")}, node__executors=1)

    os.kill(node.pids()[0], signal.SIGSTOP)

    assert pairs_of(node.post("good", {})) == [("answer", 42)]


def test_executor_is_replaced_after_so_many_invocations(start: Start) -> None:
    node = start(
        {"fan": FAN, "each": COUNT},
        {"fan": ("fan", "sum"), "each": ("each", "sum")},
        executors__recycle_invocations=40,
    )
    old = node.pids()

    assert pairs_of(node.post("fan", {"n": 2000})) == [("n", 2000)]

    eventually(lambda: not any(map(alive, old)))


def test_mapper_with_a_thread_of_its_own_may_map_more_than_one_chunk(start: Start) -> None:
    pool = """
from concurrent.futures import ThreadPoolExecutor
def handler(arguments):
    with ThreadPoolExecutor(2) as pool:
        yield Map("each")
        for number in pool.map(int, range(3000)):
            yield number, number
"""
    node = start({"fan": pool, "each": COUNT}, {"fan": ("fan", "sum"), "each": ("each", "sum")})

    assert pairs_of(node.post("fan", {})) == [("n", 3000)]


# limits, retries, cancelling


def test_request_over_its_time_limit_fails_and_frees_its_executors(start: Start) -> None:
    node = start({"sleep": SLEEP}, {"sleep": ("sleep", "sum")})

    failure = failure_of(node.post("sleep", {"ms": 60_000}, time_limit_s=0.3))

    assert (failure.kind, failure.type) == ("timeout", "RequestTimeLimit")
    eventually(node.is_idle)


def test_cancelling_ends_the_whole_tree(start: Start) -> None:
    node = start(
        {"fan": FAN, "each": SLOW.replace("MS", "60_000")},
        {"fan": ("fan", "sum"), "each": ("each", "sum")},
    )
    running = node.post_later("fan", {"n": 100}, is_blocking=False)
    request_id = outcome_of(running).request.request_id
    eventually(lambda: "busy" in {e.state for e in node.status().executors})

    answer = node.ask("request.cancel", workflow=WORKFLOW, request_id=request_id, reason="enough")

    assert answer["state"] == "cancelled"
    eventually(node.is_idle)


def test_cancelling_again_and_again_never_blames_who_waits_behind(start: Start) -> None:
    node = start({"sleep": SLEEP, "good": ANSWER}, {s: (s, "sum") for s in ("sleep", "good")})
    good = []
    for _ in range(4):
        slow = [node.post_later("sleep", {"ms": 60_000}, is_blocking=False) for _ in range(2)]
        good += [node.post_later("good", {}) for _ in range(2)]
        for future in slow:
            request_id = outcome_of(future).request.request_id
            node.ask("request.cancel", workflow=WORKFLOW, request_id=request_id, reason="enough")

    assert [pairs_of(outcome_of(future)) for future in good] == [[("answer", 42)]] * 8


def test_author_failure_is_tried_again_as_its_handler_says(start: Start) -> None:
    flaky = ANSWER + "    if INVOCATION.attempt < 3:\n        raise OSError('not yet')\n"
    retry = Retry(attempts=3, backoff_s=0.05, on=("OSError",))
    node = start({"flaky": flaky}, {"flaky": ("flaky", "sum")}, {"flaky": {"retry": retry}})

    outcome = node.post("flaky", {})

    assert pairs_of(outcome) == [("answer", 42)]
    assert outcome.request.counts.retried == 2


def test_work_that_waits_behind_a_long_one_is_given_to_who_is_free(start: Start) -> None:
    node = start({"sleep": SLEEP}, {"sleep": ("sleep", "sum")})

    long = node.post_later("sleep", {"ms": 8000})
    short = [node.post_later("sleep", {"ms": 100}) for _ in range(6)]

    assert [pairs_of(outcome_of(future)) for future in short] == [[("slept", 1)]] * 6
    assert not long.done()


def test_small_request_does_not_wait_for_a_huge_one(start: Start) -> None:
    node = start(
        {"fan": FAN, "each": SLOW.replace("MS", "2"), "good": ANSWER},
        {"fan": ("fan", "sum"), "each": ("each", "sum"), "good": ("good", "sum")},
    )
    huge = node.post_later("fan", {"n": 4000})
    eventually(lambda: "busy" in {e.state for e in node.status().executors})

    assert pairs_of(node.post("good", {})) == [("answer", 42)]
    assert not huge.done()
    assert pairs_of(outcome_of(huge)) == [("slept", 4000)]


def test_request_keeps_the_handlers_that_it_began_with(start: Start, tmp_path: Path) -> None:
    node = start(
        {"fan": FAN_GATE, "each": GATE.replace("VERSION", "old")},
        {"fan": ("fan", "sum"), "each": ("each", "sum")},
    )
    gate = tmp_path / "gate"
    running = node.post_later("fan", {"gate": str(gate)})
    eventually(lambda: "busy" in {e.state for e in node.status().executors})

    fields = msgspec.to_builtins(handler("each", "mapper", GATE.replace("VERSION", "new")))
    node.ask("entity.put", kind="handler", fields=fields)
    gate.touch()

    assert pairs_of(outcome_of(running)) == [("old", 3)]
    assert pairs_of(node.post("fan", {"gate": str(gate)})) == [("new", 3)]


# what handlers may do


def test_named_combiner_is_an_invocation_of_its_own(start: Start) -> None:
    combiner = "def handler(key, values):\n    yield key, sum(values) * 10\n"
    node = start({"one": ANSWER, "ten": combiner}, {"one": ("one", "ten", "sum")})

    outcome = node.post("one", {})

    assert pairs_of(outcome) == [("answer", 420)]
    kinds = kinds_of(trace_of(node, outcome))
    assert sorted(kinds) == [(k, "succeeded") for k in ("combine", "map", "reduce")]


def test_default_combiner_groups_by_key_and_is_no_invocation(start: Start) -> None:
    pairs = """
def handler(arguments):
    yield Return()
    yield from [("b", 1), ("a", 2), ("b", 3)]
"""
    listing = "def handler(key, values):\n    yield key, list(values)\n"
    node = start({"pairs": pairs, "listing": listing}, {"pairs": ("pairs", "listing")})

    outcome = node.post("pairs", {})

    assert pairs_of(outcome) == [("a", [2]), ("b", [1, 3])]
    kinds = kinds_of(trace_of(node, outcome))
    assert sorted(kinds) == [("map", "succeeded"), ("reduce", "succeeded")]


def test_reducer_reads_the_session_of_its_mapper(start: Start) -> None:
    fan = FAN.replace("    yield Map", "    S_SET('factor', 7)\n    yield Map")
    reducer = "def handler(key, values):\n    yield key, sum(values) * S_GET('factor')\n"
    node = start(
        {"fan": fan, "each": COUNT, "times": reducer},
        {"fan": ("fan", "times"), "each": ("each", "sum")},
    )

    assert pairs_of(node.post("fan", {"n": 3})) == [("n", 21)]


def test_mapper_is_kept_over_several_chunks(start: Start) -> None:
    node = start({"fan": FAN, "each": COUNT}, {"fan": ("fan", "sum"), "each": ("each", "sum")})

    outcome = node.post("fan", {"n": 5000})

    assert pairs_of(outcome) == [("n", 5000)]
    assert outcome.request.counts.mapped == 5001


def test_mappers_map_on_many_levels_deep(start: Start) -> None:
    chain = """
def handler(arguments):
    (n,) = [value for _, value in arguments]
    if n:
        yield Map("chain")
        yield "n", n - 1
    else:
        yield Return()
        yield "deep", 1
"""
    node = start({"chain": chain}, {"chain": ("chain", "sum")})

    outcome = node.post("chain", {"n": 500})

    assert pairs_of(outcome) == [("deep", 1)]
    assert outcome.request.counts.mapped == 501


@pytest.mark.parametrize(
    "body",
    ["yield Map('each')", "yield Return()", "return\n    yield", "yield MrConfigureToReturn()"],
)
def test_mapper_that_yields_no_pairs_leaves_an_empty_result(body: str, start: Start) -> None:
    source = f"def handler(arguments):\n    {body}\n"
    node = start(
        {"none": source, "each": COUNT}, {"none": ("none", "sum"), "each": ("each", "sum")}
    )

    assert pairs_of(node.post("none", {})) == []


@pytest.mark.parametrize(
    ("body", "kind", "name"),
    [
        ("yield 1, 2", "protocol", "ProtocolError"),
        ("yield Map('nowhere')\n    yield 1, 2", "protocol", "UnknownStep"),
        ("yield Return()\n    yield {}, 2", "pair", "PairError"),
        ("yield Return()\n    yield 1, object()", "pair", "PairError"),
        ("yield Return()\n    yield float('nan'), 1", "pair", "PairError"),
    ],
)
def test_mapper_that_breaks_its_contract_fails_by_name(
    body: str, kind: str, name: str, start: Start
) -> None:
    node = start({"bad": f"def handler(arguments):\n    {body}\n"}, {"bad": ("bad", "sum")})

    failure = failure_of(node.post("bad", {}))

    assert (failure.kind, failure.type) == (kind, name)


def test_large_values_pass_every_border(start: Start) -> None:
    fan = FAN.replace("number, number", "number, arguments['text']")
    echo = "def handler(key, value):\n    yield Return()\n    yield 'text', value\n"
    longest = "def handler(key, values):\n    yield key, max(values)\n"
    node = start(
        {"fan": fan, "each": echo, "longest": longest},
        {"fan": ("fan", "longest"), "each": ("each", "longest")},
    )
    text = "x" * 5_000_000

    assert pairs_of(node.post("fan", {"n": 3, "text": text})) == [("text", text)]


def test_many_keys_are_spilled_and_reduced_in_parts(start: Start) -> None:
    fan = FAN.replace("each", "keys")
    keys = """
def handler(key, value):
    yield Return()
    for number in range(100_000):
        yield value * 100_000 + number, 1
"""
    node = start(
        {"fan": fan, "keys": keys},
        {"fan": ("fan", "sum"), "keys": ("keys", "sum")},
        executors__spill_bytes=4 << 20,
    )

    outcome = node.post("fan", {"n": 3})

    assert pairs_of(outcome) == [(key, 1) for key in range(300_000)]
    assert outcome.result is not None
    assert len(outcome.result.payloads) >= PARTITIONS


# asking twice


def test_same_key_at_the_same_time_is_one_request(start: Start) -> None:
    node = start({"sleep": SLEEP}, {"sleep": ("sleep", "sum")})

    asked = [
        node.post_later("sleep", {"ms": 200}, idempotency_key="k", is_blocking=number % 2 == 0)
        for number in range(8)
    ]

    outcomes = [outcome_of(future) for future in asked]
    assert len({outcome.request.request_id for outcome in outcomes}) == 1
    assert [outcome.replayed for outcome in outcomes].count(False) == 1
    assert all(pairs_of(outcome) == [("slept", 1)] for outcome in outcomes[::2])


# faults of the coordinator


def test_coordinator_that_fails_is_built_again_from_its_log(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail = FailingRan(3)
    monkeypatch.setitem(coordinator._RECEIVE, Ran, fail)  # type: ignore[arg-type]
    node = start({"fan": FAN, "each": COUNT}, {"fan": ("fan", "sum"), "each": ("each", "sum")})

    assert pairs_of(node.post("fan", {"n": 2000}, is_blocking=True)) == [("n", 2000)]
    assert fail.left == 0
    eventually(node.is_idle)


def test_coordinator_that_fails_too_often_fails_its_request_alone(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(coordinator._RECEIVE, Ran, FailingRan(1000, "fan"))  # type: ignore[arg-type]
    node = start(
        {"fan": FAN, "each": COUNT, "good": ANSWER},
        {"fan": ("fan", "sum"), "each": ("each", "sum"), "good": ("good", "sum")},
    )
    accepted = outcome_of(node.post_later("fan", {"n": 10}, is_blocking=False)).request

    outcome = node.ask("wait", workflow=WORKFLOW, request_id=accepted.request_id, wait_s=30.0)

    failure = failure_of(msgspec.convert(outcome, Outcome))
    assert (failure.kind, failure.type) == ("internal", "CoordinatorFailed")
    assert pairs_of(node.post("good", {})) == [("answer", 42)]
    eventually(node.is_idle)


class FailingRan:
    """Fails ``left`` times instead of taking an executor's answer, then takes it."""

    def __init__(self, left: int, job: str | None = None) -> None:
        self.left = left
        self._job = job
        self._ran = coordinator._RECEIVE[Ran]

    def __call__(self, actor: Any, message: Ran, sender: Any) -> None:
        if self.left and self._job in (None, actor._journal.request.job_name):
            self.left -= 1
            raise ArithmeticError("a fault of ours")
        self._ran(actor, message, sender)
