"""Somebody's deployment notes for mr 0.3.5, followed to the letter."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobx import meanings
from tests.support.old_scripts import Shell, ask, install, shell
from tests.support.waiting import eventually

NOTES = """
export MR_NSQD_HOSTS=127.0.0.1
export MR_WORKFLOW_NAMES=test_workflow

mr_kv_workflow_create test_workflow "Jobs that assist build and deployment."

mr_kv_handler_create test_workflow split_text "Splits a text." \\
    python mapper -a text str -a least int <<'PYTHON'
S_SET('letters', len(arguments['text']))
yield MrConfigureToMap('one_word')
for word in arguments['text'].split():
    if len(word) >= arguments['least']:
        yield word, 1
PYTHON
mr_kv_handler_create test_workflow one_word "Takes a word." python mapper -r none <<'PYTHON'
import time
yield MrConfigureToReturn()
time.sleep(0.002)
yield from arguments
PYTHON
mr_kv_handler_create test_workflow add_up "Adds up." python reducer <<'PYTHON'
for key, values in results:
    yield key, sum(values)
PYTHON

mr_kv_step_create test_workflow text "Counts words." split_text '' add_up
mr_kv_step_create test_workflow one_word "Counts a word." one_word '' add_up
mr_kv_job_create test_workflow count_words "Counts the words of a text." text
"""
ENTITIES = 7
BODY = {"arguments": {"text": "to be or not to be", "least": "2"}}
PAIRS = [["be", 2], ["not", 1], ["or", 1], ["to", 2]]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scripts, and with what the notes left up to the start."""
    folder = tmp_path_factory.mktemp("notes")
    install(folder)
    done = shell(folder)(NOTES)
    assert (done.returncode, done.stderr) == (meanings.OK, "")
    assert done.stdout.count("created ") == ENTITIES
    return folder


@pytest.fixture
def noted(prepared: Path, tmp_path: Path) -> Shell:
    """A shell in a copy of the prepared folder."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    return shell(tmp_path)


@pytest.fixture
def started(noted: Shell, tmp_path: Path) -> Iterator[Path]:
    """The socket of the server that ``mr_start_gunicorn_dev`` starts."""
    path = tmp_path / "mr.sock"
    start = "export MR_WORKFLOW_NAMES=test_workflow MR_NSQD_HOSTS=h MR_LOG_FILEPATH=mr.log\n"
    # What stages yielded is asked for after the end, when a node may remove it at any moment.
    start += "export JOBX_RETENTION_DATA=all\n"
    start += "mr_start_gunicorn_dev >serve.out 2>serve.err & echo $!"
    process_id = int(noted(start).stdout)
    try:
        said = tmp_path / "home/serve.out"
        eventually(lambda: said.exists() and "serving" in said.read_text())
        yield path
    finally:
        os.kill(process_id, signal.SIGTERM)
        assert eventually(lambda: not path.exists(), timeout_s=60)


def test_notes_end_in_a_server_that_does_the_job(
    started: Path, noted: Shell, tmp_path: Path
) -> None:
    status, request_id, answer = ask(started, "POST", "/job/test_workflow/count_words", BODY)
    assert (status, json.loads(answer)) == (200, {"result": {"pairs": PAIRS}})

    listed = noted(f"mr_get_invocation_flat_list test_workflow {request_id}").stdout
    assert listed.count(" M A-R one_word\n") == 6
    detailed = noted(f"mr_get_invocation_graph test_workflow {request_id}").stdout
    assert "input: ['to', 1]" in detailed.replace('"', "'")
    sessions = noted(f"mr_get_request_sessions test_workflow {request_id}").stdout
    assert sessions.splitlines()[1].split() == ["m0", "letters", "18"]
    noted(f"mr_draw_invocation_graph test_workflow {request_id}")
    drawn = (tmp_path / "home" / f"request-{request_id}.dot").read_text()
    assert drawn.count('label="mapped to"') == 7
    told = (tmp_path / "home/serve.err").read_text()
    assert told.startswith("jobx: MR_NSQD_HOSTS is not used: a node works alone")
    assert told.count("\n") == 1
    assert "gunicorn" in (tmp_path / "home/mr.log").read_text()
    assert noted(f"mr_kv_request_cleanup test_workflow {request_id}").stdout.startswith("removed")


@pytest.mark.usefixtures("dot")
def test_request_is_a_picture_over_http(started: Path) -> None:
    _, request_id, _ = ask(started, "POST", "/job/test_workflow/count_words", BODY)
    status, _, image = ask(started, "GET", f"/request/test_workflow/{request_id}/graph")
    assert (status, image.count(b"one_word/one_word")) == (200, 6)


def test_server_serves_the_workflows_that_it_was_told_and_no_others(
    started: Path, noted: Shell
) -> None:
    noted("mr_kv_workflow_create other d")
    status, _, answer = ask(started, "POST", "/job/other/job", {})
    assert (status, b"node.workflows" in answer) == (404, True)


def test_request_can_be_run_without_a_server(noted: Shell) -> None:
    run = "mr_kv_request_create test_workflow count_words"
    done = noted(f"{run} -a text 'a bb a' -a least 1 -c '{{\"by\": 1}}'")
    answer = json.loads(done.stdout)
    assert answer["result"]["pairs"] == [["a", 2], ["bb", 1]]
    shown = noted(f"mr_kv_request_get test_workflow {answer['request_id']} --json").stdout
    assert json.loads(shown)["context"] == {"by": 1}


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("mr_kv_step_delete test_workflow text", meanings.TAKEN, "job count_words"),
        ("mr_kv_invocation_create test_workflow text", meanings.USAGE, "mr_kv_request_create"),
        ("mr_kv_t_mapped_steps_add w", meanings.USAGE, "is gone"),
        ("MR_CONSUME=0 mr_start_gunicorn_dev", meanings.INVALID, "setting node.front_end"),
        (
            "MR_LOG_FILEPATH=/no/log mr_start_gunicorn_prod",
            meanings.INVALID,
            "setting node.log_path",
        ),
        (
            "DUI_EMAIL_SINK_TO_FILE=1 mr_kv_job_list w",
            meanings.INVALID,
            "setting DUI_EMAIL_SINK_TO_FILE",
        ),
        ("mr_kv_request_cleanup test_workflow", meanings.USAGE, "needs a request's id"),
        ("mr_kv_job_list nope", meanings.NOT_FOUND, "no workflow named nope"),
    ],
)
def test_what_does_not_work_any_more_says_so_in_one_line(
    noted: Shell, line: str, code: int, says: str
) -> None:
    done = noted(line)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_step_list_is_printed_in_four_orders(noted: Shell) -> None:
    listed = noted("mr_kv_step_list test_workflow").stdout.splitlines()
    assert [line.split()[0] for line in listed if not line.startswith("step ")] == [
        *("one_word", "text"),
        *("one_word", "text"),
        *("one_word", "text"),
        *("one_word", "text"),
    ]
