"""The command line against real processes: run, serve, and what both leave behind."""

from __future__ import annotations

import http.client
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen

import pytest
from click.testing import CliRunner, Result

from jobx import meanings
from jobx.tools.cli import main
from tests.support.processes import alive, descendants, parent, running, words
from tests.support.waiting import eventually

JOBX = ("-m", "jobx.tools.cli")
HANDLERS = {
    "numbers": (
        "mapper",
        "yield MrConfigureToMap('square')\nfor n in range(arguments['n']):\n    yield n, n\n",
    ),
    "square": (
        "mapper",
        "yield MrConfigureToReturn()\nfor _, n in arguments:\n    yield 'sum', n * n\n",
    ),
    "break": ("mapper", "yield MrConfigureToReturn()\nraise ValueError('no such luck')\n"),
    "sleep": (
        "mapper",
        "import time\nyield MrConfigureToReturn()\ntime.sleep(arguments['s'])\nyield 'slept', 1\n",
    ),
    "add": ("reducer", "for key, values in results:\n    yield key, sum(values)\n"),
}
STEPS = {"numbers": "numbers", "square": "square", "break": "break", "sleep": "sleep"}

Jobx = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "d"


@pytest.fixture
def jobx(folder: Path) -> Jobx:
    """Run commands on a data folder with a workflow ``w`` that has a job for each step."""

    def invoke(*words: str, stdin: str = "") -> Result:
        return CliRunner().invoke(main, [*words, "--data", str(folder)], input=stdin)

    invoke("workflow", "create", "w", "d")
    for name, (kind, source) in HANDLERS.items():
        invoke("handler", "create", "w", name, "d", "python", kind, stdin=source)
    for step, mapper in STEPS.items():
        invoke("step", "create", "w", step, "d", mapper, "", "add")
        invoke("job", "create", "w", step, "d", step)
    assert len(json.loads(invoke("job", "list", "w", "--json").stdout)) == len(STEPS)
    return invoke


@pytest.fixture
def served(folder: Path, jobx: Jobx) -> Iterator[tuple[Popen[str], str]]:
    """A serving process and its address."""
    del jobx
    command = [*JOBX, "serve", "--data", str(folder), "--bind", "127.0.0.1:0", "--executors", "1"]
    with running(command, JOBX_NODE_LOG_LEVEL="error", JOBX_NODE_DRAIN_S="5") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("serving http://127.0.0.1:")
        assert line.endswith(f" (data {folder}, 1 executor)\n")
        yield process, line.split("//")[1].split()[0]


def _run(folder: Path, *words: str) -> tuple[int, str, str]:
    command = [*JOBX, "run", *words, "--data", str(folder), "--executors", "1"]
    # Without warnings: of a machine that paused, for example.
    with running(command, JOBX_NODE_LOG_LEVEL="error") as process:
        stdout, stderr = process.communicate(timeout=60)
    return process.returncode, stdout, stderr


def _post(address: str, job: str, arguments: object) -> tuple[int, object]:
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        body = json.dumps({"arguments": arguments})
        headers = {"Content-Type": "application/json"}
        connection.request("POST", f"/job/w/{job}", body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def _requests(jobx: Jobx, *words: str) -> list[dict[str, object]]:
    found = json.loads(jobx("request", "list", "w", "--json", *words).stdout)["requests"]
    assert isinstance(found, list)
    return found


@pytest.mark.usefixtures("jobx")
def test_run_writes_the_result_as_json(folder: Path) -> None:
    code, stdout, stderr = _run(folder, "w/numbers", "-a", "n=10")

    assert (code, stderr) == (meanings.OK, "")
    assert json.loads(stdout)["result"] == {"pairs": [["sum", 285]]}


@pytest.mark.usefixtures("jobx")
def test_run_writes_a_pair_a_line_when_asked(folder: Path) -> None:
    assert _run(folder, "w/numbers", "-a", "n=4", "--format", "ndjson")[:2] == (
        meanings.OK,
        '["sum", 14]\n',
    )


@pytest.mark.usefixtures("jobx")
def test_run_exits_1_and_names_the_exception_of_the_author(folder: Path) -> None:
    code, stdout, stderr = _run(folder, "w/break")

    assert (code, stdout) == (meanings.FAILED, "")
    assert "failed: ValueError: no such luck (in break" in stderr
    assert stderr.count("\n") == 1


@pytest.mark.usefixtures("jobx")
def test_run_fails_what_takes_longer_than_its_time_limit(folder: Path) -> None:
    code, _, stderr = _run(folder, "w/sleep", "-a", "s=60", "--time-limit", "0.5")

    assert (code, "failed" in stderr) == (meanings.FAILED, True)


@pytest.mark.usefixtures("jobx")
def test_run_names_a_job_that_does_not_exist(folder: Path) -> None:
    code, _, stderr = _run(folder, "w/nope")

    assert (code, stderr) == (meanings.NOT_FOUND, "jobx: there is no job named w/nope\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_interrupted_run_cancels_its_request_and_leaves_nothing(
    number: signal.Signals, folder: Path, jobx: Jobx
) -> None:
    with running([*JOBX, "run", "w/sleep", "-a", "s=60", "--data", str(folder)]) as process:
        eventually(lambda: _requests(jobx), timeout_s=60)
        below = descendants(process.pid)
        process.send_signal(number)

        assert process.wait(60) == meanings.INTERRUPTED
    assert [request["state"] for request in _requests(jobx)] == ["cancelled"]
    assert eventually(lambda: not any(map(alive, below)))


def test_finished_request_is_listed_shown_traced_and_removed(folder: Path, jobx: Jobx) -> None:
    _run(folder, "w/numbers", "-a", "n=3")
    (request,) = _requests(jobx, "--state", "succeeded")
    request_id = str(request["request_id"])

    assert json.loads(jobx("request", "get", "w", request_id, "--json").stdout) == request
    assert '["sum", 5]' in jobx("request", "result", "w", request_id).stdout
    trace = jobx("request", "trace", "w", request_id).stdout
    assert trace.count("succeeded map square/square") == 3
    found = jobx("invocation", "get", "w", request_id, "m0", "--json").stdout
    assert json.loads(found)["handler_name"] == "numbers"
    assert "square" in jobx("request", "summary", "w", request_id).stdout
    assert "m1 to m3" in jobx("request", "tree", "w", request_id).stdout
    assert "r3" in jobx("request", "invocations", "w", request_id, "--from", "m3").stdout
    assert "m3" in jobx("request", "timeline", "w", request_id).stdout
    assert '"m3"' in jobx("request", "dump", "w", request_id, "--step", "square").stdout

    again = jobx("request", "dump", "w", request_id, "--rerun", "m3").stdout
    assert [json.loads(line)["rerun"] for line in again.splitlines()] == [True, True]
    kept = jobx("request", "keep", "w", request_id)
    assert kept.stdout == f"kept request w/{request_id}\n"
    assert jobx("request", "cleanup", "w").stdout == ""
    jobx("request", "keep", "w", request_id, "--release")
    simulated = jobx("request", "cleanup", "w", request_id, "--simulate")
    assert simulated.stdout == f"would remove request w/{request_id}\n"
    assert jobx("request", "cleanup", "w").stdout == f"removed request w/{request_id}\n"
    assert _requests(jobx) == []
    assert jobx("request", "trace", "w", request_id).exit_code == meanings.NOT_FOUND


def test_failed_request_has_no_result_and_shows_the_lines_of_its_author(
    folder: Path, jobx: Jobx
) -> None:
    _run(folder, "w/break")
    (request,) = _requests(jobx, "--state", "failed")

    result = jobx("request", "result", "w", str(request["request_id"]))
    assert (result.exit_code, "no such luck" in result.stderr) == (meanings.FAILED, True)
    shown = jobx("request", "get", "w", str(request["request_id"])).stdout
    assert "raise ValueError('no such luck')" in shown


def test_serve_answers_a_job_and_stops_without_a_trace(
    served: tuple[Popen[str], str],
) -> None:
    process, address = served
    below = descendants(process.pid)

    status, body = _post(address, "numbers", {"n": 10})
    process.send_signal(signal.SIGTERM)

    assert (status, body) == (200, {"result": {"pairs": [["sum", 285]]}})
    assert process.wait(60) == meanings.OK
    eventually(lambda: not any(map(alive, below)))


def test_run_is_done_by_the_node_that_serves(
    served: tuple[Popen[str], str], folder: Path, jobx: Jobx
) -> None:
    code, stdout, _ = _run(folder, "w/numbers", "-a", "n=10")

    assert (code, json.loads(stdout)["result"]) == (meanings.OK, {"pairs": [["sum", 285]]})
    status = json.loads(jobx("node", "status", "--json").stdout)
    assert status["pid"] in descendants(served[0].pid)


@pytest.mark.usefixtures("served")
def test_running_node_notices_a_new_job(folder: Path, jobx: Jobx) -> None:
    jobx("job", "create", "w", "late", "d", "square")

    assert eventually(lambda: _run(folder, "w/late")[0] != meanings.NOT_FOUND, timeout_s=60)


@pytest.mark.usefixtures("served")
def test_running_node_shows_its_actors(jobx: Jobx) -> None:
    assert "Supervisor" in jobx("actors", "tree").stdout


def test_request_is_cancelled_on_the_running_node(
    served: tuple[Popen[str], str], folder: Path, jobx: Jobx
) -> None:
    command = [*JOBX, "run", "w/sleep", "-a", "s=60", "--data", str(folder)]
    with running(command) as process:
        (request,) = eventually(lambda: _requests(jobx), timeout_s=60)
        result = jobx("request", "cancel", "w", str(request["request_id"]))

        assert result.stdout.endswith("is cancelled\n")
        assert process.wait(60) == meanings.FAILED
    failed = jobx("request", "result", "w", str(request["request_id"]))
    sentence = f"request {request['request_id']} was cancelled: on the command line"
    assert (failed.exit_code, failed.stderr) == (meanings.FAILED, f"jobx: {sentence}\n")


@pytest.mark.usefixtures("served")
def test_second_serve_on_a_data_folder_is_refused_by_name(folder: Path) -> None:
    command = [*JOBX, "serve", "--data", str(folder), "--bind", "127.0.0.1:0"]
    with running(command) as process:
        stdout, stderr = process.communicate(timeout=60)

    assert (process.returncode, stdout) == (meanings.TAKEN, "")
    assert stderr.startswith(f"jobx: data folder {folder} is used by process ")
    assert stderr.count("\n") == 1


def test_serve_refuses_a_data_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = [*JOBX, "serve", "--data", str(tmp_path / "file" / "d"), "--bind", "127.0.0.1:0"]
    with running(command) as process:
        stderr = process.communicate(timeout=60)[1]

    assert process.returncode == meanings.STORE
    assert stderr.startswith(f"jobx: cannot use {tmp_path / 'file'}")
    assert stderr.count("\n") == 1


@pytest.mark.chaos
@pytest.mark.parametrize("part", ["node", "gunicorn"])
def test_serve_goes_on_after_the_death_of_a_child(
    part: str, served: tuple[Popen[str], str]
) -> None:
    process, address = served
    before = descendants(process.pid)
    victim = next(pid for pid in before if part in words(pid) and parent(pid) == process.pid)
    lost = {victim, *descendants(victim)}

    os.kill(victim, signal.SIGKILL)

    assert eventually(lambda: not any(map(alive, lost)))
    assert eventually(lambda: _post_or_none(address) == 200, timeout_s=60)


@pytest.mark.chaos
def test_nothing_outlives_a_serve_that_is_killed(served: tuple[Popen[str], str]) -> None:
    process, _ = served
    below = descendants(process.pid)

    process.kill()

    assert len(below) >= 4
    assert eventually(lambda: not any(map(alive, below)), timeout_s=60)


def _post_or_none(address: str) -> int | None:
    try:
        return _post(address, "numbers", {"n": 3})[0]
    except (OSError, http.client.HTTPException):
        return None
