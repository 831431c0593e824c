"""A real node whose executors its authors break, and others kill."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from jobx import frames
from jobx.actors.executors import overdue
from jobx.actors.executors.processes import BLANKS
from tests.support.authoring import ANSWER, COUNT, FAN, SLOW, WORKFLOW
from tests.support.explaining import begin
from tests.support.live_node import Start, failure_of, outcome_of, pairs_of, trace_of
from tests.support.processes import alive, parent, words
from tests.support.waiting import eventually

DEAF = "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))"
#: How long programs sleep that are looked for by it: other runs of the tests have others.
LEFT, AT_WORK = f"61.1{os.getpid()}", f"61.2{os.getpid()}"
BAD = {"bad": ("bad", "sum"), "good": ("good", "sum")}


def mapper(body: str) -> dict[str, str]:
    """Return a handler ``bad`` that runs ``body`` and then returns the number of its process."""
    lines = [
        "import ctypes, os, shutil, signal, subprocess, sys, threading, time",
        "def handler(arguments):",
        "    yield Return()",
        *(f"    {line}" for line in body.splitlines()),
        "    yield 'pid', os.getpid()",
    ]
    return {"bad": "\n".join(lines) + "\n", "good": ANSWER}


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ("os._exit(3)", "crash", "ended with code 3"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "crash", "SIGKILL"),
        ("ctypes.string_at(0)", "crash", "SIGSEGV"),
        ("os.abort()", "crash", "SIGABRT"),
        ("os.closerange(0, 4096)", "crash", "ended with code"),
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
    limit_s = 0.5 if kind == "timeout" else 60.0
    node = start(mapper(body), BAD, {"bad": {"time_limit_s": limit_s}})

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
        "os.chdir('/'); shutil.rmtree(os.environ['TMPDIR'])",
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
    node = start(mapper(f"subprocess.Popen(['sleep', '{LEFT}'])"), BAD)

    pairs_of(node.post("bad", {}))

    eventually(lambda: not programs(LEFT))


def programs(argument: str) -> list[int]:
    """Return the processes that were started with an argument."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and alive(int(entry)) and argument in words(int(entry)):
            found.append(int(entry))
    return found


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
    eventually(lambda: not any(map(alive, old)))
    eventually(lambda: len(list((tmp_path / "tmp").glob("*"))) == 2 + BLANKS)


def test_program_of_an_executor_goes_with_the_fork_server(start: Start) -> None:
    node = start(mapper(f"subprocess.run(['sleep', '{AT_WORK}'])"), BAD)
    request_id = begin(node, "bad", {})
    first = eventually(lambda: programs(AT_WORK))

    os.kill(parent(node.pids()[0]), signal.SIGKILL)

    eventually(lambda: not any(map(alive, first)))
    node.ask("request.cancel", workflow=WORKFLOW, request_id=request_id, reason="seen")
    eventually(node.is_idle)


def test_executor_that_stands_still_before_it_begins_is_replaced(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overdue, "START_S", 0.5)
    node = start({"good": ANSWER}, {"good": ("good", "sum")}, node__executors=1)

    (old,) = node.pids()
    os.kill(old, signal.SIGSTOP)
    asked = node.post_later("good", {})
    eventually(lambda: not alive(old))
    monkeypatch.setattr(overdue, "START_S", 60.0)  # the next one may take its time

    assert pairs_of(outcome_of(asked)) == [("answer", 42)]


def test_executor_is_replaced_after_so_many_invocations(start: Start) -> None:
    node = start(
        {"fan": FAN, "each": COUNT},
        {"fan": ("fan", "sum"), "each": ("each", "sum")},
        executors__recycle_invocations=40,
    )
    old = node.pids()

    assert pairs_of(node.post("fan", {"n": 2000})) == [("n", 2000)]

    eventually(lambda: not any(map(alive, old)))


#: Author code that writes to the executor's own connection what no node can read.
SCRIBBLE = """
import os, socket
def handler(arguments):
    for name in os.listdir("/proc/self/fd"):
        try:
            peer = socket.socket(fileno=os.dup(int(name)))
            if peer.family == socket.AF_UNIX and peer.type == socket.SOCK_STREAM:
                peer.sendall(bytes.fromhex("BODY"))
        except OSError:
            continue
    yield Return()
    yield "answer", 1
"""


def forged(*segment: object) -> str:
    """Return an answer to the first work of a node."""
    answer = {"t": "result", "id": 1, "request_id": "r", "segments": [segment]}
    return frames.encode(answer).hex()


@pytest.mark.parametrize(
    "body",
    [
        *("00000001c1", "00000001ff", "00000007" + "83a26964c07fc1", "ffffffff"),
        forged("returned", 0, 1, [], True, bytes(12), [1]),
        forged("returned", 0, 1, [], True, bytes(12), {0: 1}),
        forged("returned", 0, 1, [[]], True, bytes(12), {}),
        forged("returned", 0, 1, [], True, bytes(11), {}),
        forged("returned", 7, 1, [], True, bytes(12), {}),
    ],
)
def test_answer_that_cannot_be_read_fails_its_work_by_name_and_is_not_tried_again(
    body: str, start: Start
) -> None:
    node = start(
        {"scribble": SCRIBBLE.replace("BODY", body), "good": ANSWER},
        {"bad": ("scribble", "sum"), "good": ("good", "sum")},
        node__executors=1,
    )
    (old,) = node.pids()
    bad, good = node.post_later("bad", {}), node.post_later("good", {})

    failure = failure_of(outcome_of(bad))
    assert (failure.kind, failure.type, failure.attempt) == ("protocol", "BadFrame", 1)
    assert failure.invocation_id == "m0"
    assert pairs_of(outcome_of(good)) == [("answer", 42)]
    eventually(lambda: node.pids() not in ([], [old]))


def test_work_too_large_for_a_frame_fails_by_name(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = start({"good": ANSWER}, {"good": ("good", "sum")}, node__executors=1)
    monkeypatch.setattr(frames, "MAX_FRAME_BYTES", 2000)

    failure = failure_of(node.post("good", {"text": "x" * 3000}))
    assert (failure.kind, failure.type, failure.invocation_id) == ("limit", "FrameError", "m0")
    assert pairs_of(node.post("good", {})) == [("answer", 42)]
