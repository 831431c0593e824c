from __future__ import annotations

import configparser
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jobx import meanings
from jobx.config import Settings
from jobx.config_sections import ResultSettings
from jobx.tools import cli, mr
from tests.unit.tools.conftest import Jobx

ROOT = Path(__file__).parents[3]

Mr = Callable[..., list[list[str]]]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Mr:
    """Run a script; gives the commands that it runs."""

    def run(name: str, *words: str) -> list[list[str]]:
        ran: list[list[str]] = []

        def command(given: list[str]) -> None:
            ran.append(list(given))
            sys.exit(meanings.OK)

        monkeypatch.setattr(cli, "main", command)
        monkeypatch.setattr(sys, "argv", [f"/usr/local/bin/{name}", *words])
        with pytest.raises(SystemExit):
            mr.main()
        return ran

    return run


def test_every_script_is_installed() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["options.entry_points"]["console_scripts"].split("\n")
    found = [line.split(" = ")[0] for line in lines if line.endswith("jobx.tools.mr:main")]
    assert found == list(mr.SCRIPTS)
    assert len(found) == 33


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("mr_kv_workflow_create w d", "workflow create w d"),
        ("mr_kv_job_create w j d s", "job create w j d s"),
        ("mr_kv_step_set_handler w s -m a -r b", "step set-handler w s -m a -r b"),
        (
            "mr_kv_step_set_handler w s --map-handler-name a --combine-handler-name=b --red c",
            "step set-handler w s --mapper a --combiner=b --reducer c",
        ),
        (
            "mr_kv_step_update_handlers w mapper a b -s",
            "step update-handlers w mapper a b --simulate",
        ),
        (
            "mr_kv_step_update_handlers w mapper a b --simulate-only",
            "step update-handlers w mapper a b --simulate",
        ),
        ("mr_kv_handler_store w p -s -f", "handler sync w p --simulate --force"),
        (
            "mr_kv_handler_store w p --simulate_only --force_update",
            "handler sync w p --simulate --force",
        ),
        (
            "mr_kv_handler_create w n d python mapper --argument n int --required-capability none",
            "handler create w n d python mapper --argument n int --capability none",
        ),
        ("mr_kv_handler_store -sf w p", "handler sync --simulate --force w p"),
        ("mr_kv_request_cleanup w r -s", "request cleanup w r --simulate"),
        ("mr_kv_request_cleanup w r --sim", "request cleanup w r --simulate"),
        (
            "mr_kv_step_update_handlers w reducer a b --sim",
            "step update-handlers w reducer a b --simulate",
        ),
        ("mr_draw_invocation_graph --data d w r", "request graph --data d w r -o request-r.dot"),
        ("mr_get_invocation_flat_list w r", "request dump --flat w r"),
        ("mr_get_invocation_graph w r", "request trace --detail w r"),
        ("mr_draw_invocation_graph w r", "request graph w r -o request-r.dot"),
        ("mr_get_request_sessions w r", "request sessions w r"),
        ("mr_http_notification_listen", "notify listen --host localhost --port 3333"),
        ("mr_kv_request_create w j -a n 5 --json", 'run w/j --json -a n="5"'),
        ("mr_kv_request_create w j -a a b -a c d", 'run w/j -a a="b" -a c="d"'),
        ("mr_kv_request_create w j -c {}", "run w/j --context {}"),
        ("mr_kv_request_create --data d w j --context {}", "run w/j --data d --context {}"),
        ("mr_kv_request_create w j --argument a b --json", 'run w/j --json -a a="b"'),
    ],
)
def test_script_is_a_command(words: str, command: str, script: Mr) -> None:
    assert script(*words.split()) == [command.split()]


@pytest.mark.parametrize(
    ("name", "words", "shown"),
    [
        ("mr_kv_workflow_get", ["w"], ("Workflow", {"workflow_name": "w"})),
        ("mr_kv_handler_get", ["w", "h"], ("Handler", {"handler_name": "h"})),
    ],
)
def test_an_entity_is_shown_as_mr_did(
    jobx: Jobx,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    name: str,
    words: list[str],
    shown: tuple[str, dict[str, str]],
) -> None:
    jobx("workflow", "create", "w", "about")
    jobx("handler", "create", "w", "h", "about", "python", "reducer", stdin="yield 1, 2")
    monkeypatch.setattr(sys, "argv", [name, *words])
    with pytest.raises(SystemExit) as end:
        mr.main()
    found = json.loads(capsys.readouterr().out)
    assert (found["entity_name"], found["primary_key"]) == shown
    assert (found["data"]["description"], end.value.code) == ("about", meanings.OK)


def test_an_entity_that_is_not_there_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["mr_kv_job_get", "w", "j", "--data", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        mr.main()
    assert (end.value.code, capsys.readouterr().out) == (meanings.NOT_FOUND, "")


def test_step_list_has_four_orders(script: Mr) -> None:
    assert [words[-1] for words in script("mr_kv_step_list", "w")] == [
        "step_name",
        "map_handler_name",
        "combine_handler_name",
        "reduce_handler_name",
    ]


def test_script_of_several_commands_stops_at_the_first_that_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["mr_kv_step_list", "w", "--data", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        mr.main()
    assert end.value.code == meanings.NOT_FOUND
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "name", ["mr_kv_invocation_create", "mr_kv_t_mapped_steps_add", "mr_kv_t_mapped_steps_get.obs"]
)
def test_script_that_is_gone_says_what_is_there_instead(
    name: str, script: Mr, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script(name, "w") == []
    assert capsys.readouterr().err.startswith(f"{name}: is gone; instead: ")


def test_listener_is_where_its_variables_say(script: Mr, monkeypatch: pytest.MonkeyPatch) -> None:
    anywhere = "0.0.0.0"  # noqa: S104 - it is never opened
    monkeypatch.setenv("HTTP_LISTEN_HOSTNAME", anywhere)
    monkeypatch.setenv("HTTP_LISTEN_PORT", "4444")
    (words,) = script("mr_http_notification_listen")
    assert words[-4:] == ["--host", anywhere, "--port", "4444"]


@pytest.mark.parametrize(
    ("environ", "log_path", "after"),
    [
        ({}, "", {"JOBX_HTTP_BIND": mr.SOCKET}),
        ({}, "/l", {"JOBX_HTTP_BIND": mr.SOCKET, "JOBX_NODE_LOG_PATH": "/l"}),
        ({"JOBX_HTTP_BIND": "h:1"}, "", {"JOBX_HTTP_BIND": "h:1"}),
        (
            {"MR_LOG_FILEPATH": "/o"},
            "/l",
            {"MR_LOG_FILEPATH": "/o", "JOBX_HTTP_BIND": mr.SOCKET},
        ),
        ({"JOBX_CONFIG": "/c"}, "/l", {"JOBX_CONFIG": "/c"}),
    ],
)
def test_start_scripts_have_the_old_defaults_where_nothing_else_is_said(
    environ: dict[str, str], log_path: str, after: dict[str, str]
) -> None:
    mr.set_defaults(environ, log_path)
    assert environ == after


def test_start_scripts_make_the_folder_of_results(tmp_path: Path) -> None:
    path = tmp_path / "a" / "results"
    for writer, is_made in (("inline", False), ("file", True), ("file", True)):
        mr.make_folder(Settings(results=ResultSettings(writer=writer, file_path=str(path))))
        assert path.exists() is is_made


def test_commands_of_the_scripts_exist_with_their_options(jobx: Jobx) -> None:
    for words in (["request", "trace", "--detail"], ["notify", "listen", "--host", "h"]):
        assert jobx(*words, "--help").exit_code == meanings.OK


def test_wrong_context_is_named(jobx: Jobx) -> None:
    for text in ("[1]", "{", json.dumps("x")):
        result = jobx("run", "w/j", "--context", text)
        assert (result.exit_code, "context" in result.stderr) == (meanings.INVALID, True)
