"""A hundred wrong calls, files, arguments, settings and requests, and what each is told.

Each answer says what is wrong, where, and what to do; none is a success, a fault of JobX, or a
traceback.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import pytest
from click.testing import CliRunner, Result

from jobx import meanings
from jobx.tools.cli import main
from tests.support.authoring import ANSWER, SUM, define
from tests.support.served import Served

USAGE, NOT_FOUND, TAKEN, INVALID = (
    *(meanings.USAGE, meanings.NOT_FOUND, meanings.TAKEN, meanings.INVALID),
)
UNAVAILABLE: Final = meanings.UNAVAILABLE
#: What a command ends with that was called wrongly, or that needs a node.
WRONG: Final = (USAGE, NOT_FOUND, TAKEN, INVALID, UNAVAILABLE)
GOOD: Final = {"workflow": "w", "request_id": "0" * 26, "request_ids": "0" * 26}
SPEC: Final = "def handler(number):\n    yield Return()\n    yield 'twice', 2 * number\n"

#: The words of a command, its exit code, and what its answer names.
COMMANDS: Final[list[tuple[list[str], int, list[str]]]] = [
    (["worflow", "list"], USAGE, ["'worflow'", "'workflow'"]),
    (["xyzzy"], USAGE, ["'xyzzy'", "run, serve, workflow"]),
    (["workflow", "lst"], USAGE, ["'lst'", "'list'"]),
    (["workflow", "xyzzy"], USAGE, ["'xyzzy'", "create, delete"]),
    (["--data", "x", "workflow", "list"], USAGE, ["--data", "after the command"]),
    (["workflow", "list", "--jsn"], USAGE, ["'--jsn'", "'--json'"]),
    (["workflow", "create"], USAGE, ["'NAME'", "Usage: "]),
    (["workflow", "create", "v"], USAGE, ["'DESCRIPTION'", "workflow create [OPTIONS] NAME"]),
    (["step", "create", "w", "s", "d", "m", "r"], USAGE, ["'REDUCER'", "COMBINER|''"]),
    (["job", "create", "w", "j", "d"], USAGE, ["'STEP'", "Usage: "]),
    (["run"], USAGE, ["'WORKFLOW/JOB'", "Usage: "]),
    (["run", "w/m", "--frmat", "json"], USAGE, ["'--frmat'", "'--format'"]),
    (["run", "w/m", "--format", "xml"], USAGE, ["'xml'", "'ndjson'"]),
    (["run", "w/m", "--time-limit", "long"], USAGE, ["--time-limit", "'long'", "a number"]),
    (["run", "w/m", "--time-limit", "0"], USAGE, ["--time-limit", "x>0"]),
    (["run", "w/m", "--executors", "two"], USAGE, ["--executors", "'two'", "whole number"]),
    (["run", "w/m", "-a"], USAGE, ["'-a'", "argument"]),
    (["run", "m"], INVALID, ["'m'", "WORKFLOW/JOB"]),
    (["run", "W/m"], INVALID, ["'W'", "a-z"]),
    (["run", "w/m", "-a", "number"], INVALID, ["'number'", "NAME=VALUE"]),
    (["run", "w/m", "-a", "n=1", "-a", "n=2"], INVALID, ["'n=2'", "twice"]),
    (["run", "w/m", "--context", "{"], INVALID, ["context", "JSON"]),
    (["run", "w/m", "--context", "[]"], INVALID, ["context", "must be a map"]),
    (["run", "w/nothing"], NOT_FOUND, ["w/nothing"]),
    (["run", "nothing/m"], NOT_FOUND, ["nothing"]),
    (["run", "w/spec"], INVALID, ["number", "is missing", "int"]),
    (["run", "w/spec", "-a", "number=x"], INVALID, ["number", "int", "'x'"]),
    (["run", "w/spec", "-a", "numer=1"], INVALID, ["numer"]),
    (["workflow", "get", "nothing"], NOT_FOUND, ["no workflow named nothing"]),
    (["workflow", "create", "w", "again"], TAKEN, ["workflow w", "exists"]),
    (["workflow", "create", "A B", "x"], INVALID, ["'A B'", "a-z"]),
    (["workflow", "delete", "w"], TAKEN, ["w", "use"]),
    (["workflow", "import", "x.json"], USAGE, ["'import'", "'export'"]),
    (["job", "create", "w", "j", "x", "nothing"], NOT_FOUND, ["step", "nothing"]),
    (["job", "create", "w", "m", "x", "m"], TAKEN, ["w/m", "exists"]),
    (["job", "create", "w", "j", "x", "m", "--writer", "fax"], INVALID, ["fax", "inline"]),
    (["job", "create", "w", "j", "x", "m", "-o", "x"], INVALID, ["'x'", "NAME=VALUE"]),
    (["step", "create", "w", "s", "x", "no", "", "r"], NOT_FOUND, ["handler", "no"]),
    (["step", "create", "w", "s", "x", "r", "", "m"], INVALID, ["mapper", "r"]),
    (["step", "delete", "w", "m"], TAKEN, ["m", "job"]),
    (["step", "set-handler", "w", "m"], USAGE, ["--mapper", "--reducer"]),
    (["step", "update-handlers", "w", "mapr", "a", "b"], USAGE, ["'mapr'", "'mapper'"]),
    (["step", "list", "w", "--by", "age"], USAGE, ["'age'", "'step_name'"]),
    (["handler", "create", "w", "h", "x", "python", "mapr"], USAGE, ["'mapr'", "'mapper'"]),
    (["handler", "create", "w", "h", "x", "python", "mapper"], INVALID, ["stdin", "empty"]),
    (["handler", "create", "w", "h", "x", "cobol", "mapper"], INVALID, ["w/h", "stdin"]),
    (["handler", "delete", "w", "r"], TAKEN, ["r", "step"]),
    (["handler", "sync", "w", "nowhere"], INVALID, ["nowhere"]),
    (["handler", "test", "nothing.py"], USAGE, ["nothing.py", "does not exist"]),
    (["handler", "new", "--language", "cobol"], INVALID, ["'cobol'", "python"]),
    (["request", "list", "nothing"], NOT_FOUND, ["nothing"]),
    (["request", "list", "w", "--state", "faild"], USAGE, ["'faild'", "'failed'"]),
    (["request", "list", "w", "--limit", "0"], USAGE, ["--limit", "1<=x<=1000"]),
    (["request", "list", "w", "--limit", "ten"], USAGE, ["--limit", "whole number"]),
    (["request", "list", "w", "--after", "zzz"], INVALID, ["--after", "next"]),
    (["request", "get", "w", "zzz"], NOT_FOUND, ["w/zzz"]),
    (["request", "get", "w", "latest"], NOT_FOUND, ["w/latest"]),
    (["request", "get", "w", "-"], INVALID, ["stdin", "request id"]),
    (["request", "graph", "w", "x", "--format", "gif"], USAGE, ["'gif'", "'svg'"]),
    (["request", "cancel", "w", "0" * 26], NOT_FOUND, ["w/000"]),
    (["request", "cleanup", "w", "0" * 26], NOT_FOUND, ["w/000"]),
    (["invocation", "get", "w", "0" * 26, "m0"], NOT_FOUND, ["w/000"]),
    (["fs", "ls", "w"], INVALID, ["files.url", "without"]),
    (["workflow", "delete", "\udcff"], INVALID, ["NAME", r"\udcff", "UTF-8"]),
    (["request", "list", "w", "--job", "\udcff"], INVALID, ["job", "UTF-8"]),
    (["notify", "listen", "--port", "70000"], USAGE, ["--port", "70000"]),
    (["completion", "csh"], USAGE, ["'csh'", "'bash'"]),
    (["cluster", "status"], INVALID, ["store.url"]),
    (["workflow", "list", "--data", ""], INVALID, ["node.data_dir", "empty", "'.'"]),
    (["workflow", "list", "--data", "d\udcff"], INVALID, ["node.data_dir", "UTF-8"]),
    (["run", "w/m", "--data", "d\udcff"], INVALID, ["node.data_dir", "UTF-8"]),
    (["workflow", "list", "--config", "nothing.toml"], INVALID, ["nothing.toml", "No such file"]),
]

#: Lines of a file of settings, and what is said of each when all of them hold.
SETTINGS: Final[list[tuple[str, str, list[str]]]] = [
    ("node", "executors = -1", ["node.executors", "at least 0 and at most 256"]),
    ("node", "drain_s = 'soon'", ["node.drain_s", "a number over 0"]),
    ("node", "log_level = 'loud'", ["node.log_level", "debug, info, warning, error"]),
    ("node", "capabilities = ['A B']", ["node.capabilities", "a-z"]),
    ("node", "front_end = 3", ["node.front_end", "true or false"]),
    ("nod", "id = 'a'", ["nod", "the sections are"]),
    ("http", "wrkers = 1", ["http.wrkers", "is it workers?"]),
    ("http", "workers = 9223372036854775808", ["http.workers", "at most 64"]),
    ("http", "hosts = ['http://x']", ["http.hosts", "without a port"]),
    ("http", "forwarded_header = 'a b'", ["http.forwarded_header", "a name of a header"]),
    ("requests", "window = 1e30", ["requests.window", "whole number"]),
    ("requests", "retention_s = inf", ["requests.retention_s", "at most 31536000"]),
    ("executors", "programs = ['bin']", ["executors.programs", "begins with /"]),
    ("mail", "port = 70000", ["mail.port", "at most 65535"]),
    ("scope", "secrets = {a = 'x'}", ["scope.secrets", "env:VARIABLE"]),
]

#: Settings that have the right form and cannot work.
PLACES: Final[list[tuple[str, str, list[str]]]] = [
    ("http", "bind = 'unix:'", ["http.bind", "unix:PATH"]),
    ("http", "socket_group = 'no-such-group'", ["http.socket_group", "no such group"]),
    ("node", "log_path = '/nowhere/log'", ["node.log_path", "a folder that exists"]),
    ("executors", "memory_bytes = 5", ["executors.memory_bytes", "67108864"]),
    ("results", "file_path = '/nowhere/x'", ["results.file_path", "a folder that exists"]),
    ("results", "http_url = 'foo'", ["results.http_url", "http://"]),
    ("results", "writer = 'fax'", ["results.writer", "inline, email"]),
    ("scope", "path = ['/nowhere']", ["scope.path", "a folder that exists"]),
    ("notify", "http_url = 'foo'", ["notify.http_url", "http://"]),
    ("notify", "email_to = ['a@b']", ["mail.sender", "notify.email_to"]),
    ("outbound", "allow = ['x']", ["outbound.allow", "http://"]),
    ("outbound", "networks = ['x']", ["outbound.networks", "10.0.0.0/8"]),
    ("outbound", "ca_file = '/nowhere/ca'", ["outbound.ca_file", "No such file"]),
    ("files", "url = 'foo'", ["files.url", "file:"]),
    ("blobs", "url = 'memory://x'", ["blobs.url", "memory"]),
]

JSON: Final = {"Content-Type": "application/json"}
#: Method, address, headers and body of a request, its status, and what its answer names.
REQUESTS: Final[list[tuple[str, str, dict[str, str], str, int, list[str]]]] = [
    ("GET", "/jobs/w/m", {}, "", 404, ["/jobs/w/m", "/job/{workflow}/{job}"]),
    ("GET", "/xyzzy", {}, "", 404, ["/xyzzy", "/openapi.json"]),
    ("GET", "/job/w/m", {}, "", 405, ["GET", "POST"]),
    ("PATCH", "/workflow/w", {}, "", 405, ["PATCH", "PUT"]),
    ("BREW", "/workflow/w", {}, "", 501, ["BREW", "POST"]),
    ("POST", "/job/w/m", {}, "{}", 415, ["Content-Type", "application/json"]),
    ("POST", "/job/w/m", {"Content-Type": "text/xml"}, "{}", 415, ["text/xml", "application/json"]),
    ("POST", "/job/w/m", JSON | {"Content-Encoding": "br"}, "{}", 415, ["br", "gzip"]),
    ("POST", "/job/w/m", JSON | {"Accept": "text/html"}, "{}", 406, ["application/json"]),
    ("POST", "/job/w/m", JSON | {"Expect": "tea"}, "{}", 417, ["tea", "100-continue"]),
    ("POST", "/job/w/m", JSON | {"Prefer": "wait=x"}, "{}", 400, ["Prefer", "seconds"]),
    ("POST", "/job/w/m", JSON | {"Host": "elsewhere"}, "{}", 421, ["elsewhere", "http.hosts"]),
    ("POST", "/job/w/m", JSON | {"Origin": "http://e.org"}, "{}", 403, ["Origin", "e.org"]),
    ("POST", "/job/w/m?blockng=1", JSON, "{}", 400, ["blockng", "blocking"]),
    ("POST", "/job/w/m?blocking=maybe", JSON, "{}", 400, ["blocking", "true or false"]),
    ("POST", "/job/w/m", JSON, "", 400, ["body", "empty"]),
    ("POST", "/job/w/m", JSON, "{", 400, ["body", "JSON"]),
    ("POST", "/job/w/m", JSON, "[]", 400, ["body", "map"]),
    ("POST", "/job/w/m", JSON, '{"argumnts": {}}', 400, ["argumnts"]),
    ("POST", "/job/w/m", JSON, '{"arguments": []}', 400, ["arguments", "object"]),
    ("POST", "/job/w/m", JSON, '{"time_limit_s": 0}', 400, ["time_limit_s"]),
    ("POST", "/job/w/nothing", JSON, "{}", 404, ["w/nothing"]),
    ("POST", "/job/w/A%20B", JSON, "{}", 400, ["A B", "a-z"]),
    ("POST", "/job/w/spec", JSON, "{}", 422, ["number", "int"]),
    ("POST", "/job/w/spec", JSON, '{"arguments": {"number": "x"}}', 422, ["number", "int"]),
    ("GET", "/request/w?limit=0", {}, "", 400, ["limit", "1 to 1000"]),
    ("GET", "/request/w?state=faild", {}, "", 400, ["faild", "failed"]),
    ("GET", "/request/w?after=zzz", {}, "", 400, ["after", "next"]),
    ("GET", "/request/w/nothing", {}, "", 404, ["w/nothing"]),
    ("GET", "/workflow?after=A%20B", {}, "", 400, ["after", "next"]),
    ("GET", "/workflow/nothing", {}, "", 404, ["nothing"]),
    ("POST", "/workflow", JSON, '{"workflow_name": "w", "description": ""}', 409, ["w", "exists"]),
    ("PUT", "/workflow/v", JSON, '{"workflow_name": "w", "description": ""}', 400, ["v", "w"]),
    ("PUT", "/workflow/w/job/j", JSON, '{"description": "x"}', 400, ["initial_step_name"]),
    ("DELETE", "/workflow/w", {}, "", 409, ["w", "use"]),
    ("GET", "//workflow/w/zzz/y", {}, "", 404, ["zzz", "/openapi.json"]),
]

#: What is sent as it is, the status, and what the answer names.
BYTES: Final[list[tuple[bytes, int, list[str]]]] = [
    (b"GET / HTTP/1.1\r\n\r\n", 400, ["Host"]),
    (b"get / HTTP/1.1\r\nHost: localhost\r\n\r\n", 501, ["get", "GET"]),
    (b"GET / HTTP/7.0\r\nHost: localhost\r\n\r\n", 505, ["HTTP/7.0", "HTTP/1.1"]),
    (b"hello\r\n\r\n", 400, ["METHOD /PATH HTTP/1.1"]),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nx y\r\n\r\n", 400, ["NAME: VALUE"]),
    (b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"a" * 9000), 414, ["8190"]),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: %s\r\n\r\n" % (b"a" * 9000), 431, ["8190"]),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\n%s\r\n" % (b"X: a\r\n" * 200), 431, ["100"]),
    (b"GET http://elsewhere/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 421, ["elsewhere"]),
    (
        b"POST /job/w/nothing HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n",
        404,
        ["w/nothing"],
    ),
    (
        b"POST /job/w/m HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 999999999\r\n\r\n",
        413,
        ["8388608"],
    ),
    (
        b"GET /job/w/m HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        405,
        ["POST"],
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("wrong") / "data"
    handlers = {"m": ANSWER, "r": SUM, "spec": SPEC}
    spec = {"argument_spec": (("number", "int"),)}
    define(made, handlers, {"m": ("m", "r"), "spec": ("spec", "r")}, spec=spec)
    return made


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    one = Served(folder, {})
    one.start()
    yield one.port
    one.stop()


def _run(folder: Path, *words: str, **environ: str | None) -> Result:
    variables = {"JOBX_NODE_DATA_DIR": str(folder), "JOBX_CONFIG": None, **environ}
    return CliRunner(env=variables).invoke(main, words, input="")


def _is_told(said: str, named: list[str]) -> None:
    assert [word for word in named if word not in said] == [], said
    assert "Traceback" not in said
    assert "fault of JobX" not in said


def test_there_are_a_hundred() -> None:
    assert len([*COMMANDS, *SETTINGS, *PLACES, *REQUESTS, *BYTES]) >= 100


@pytest.mark.parametrize(
    ("words", "code", "named"), COMMANDS, ids=[" ".join(one[0]) for one in COMMANDS]
)
def test_a_wrong_command_is_told_what_where_and_what_to_do(
    folder: Path, words: list[str], code: int, named: list[str]
) -> None:
    ran = _run(folder, *words)

    _is_told(ran.stderr, named)
    assert ran.exit_code == code
    assert all(line.startswith("jobx: ") for line in ran.stderr.splitlines())
    assert ran.stdout == ""


#: Words that nobody means, in the place of each argument in turn: the others name things.
ODD: Final = ("\udcff\udcfe", "a\nb", str(10**20), "x" * 5000)
#: These run until they are stopped.
ENDLESS: Final = {"serve", "node", "web", "top", "listen", "watch"}


def test_no_word_in_any_place_of_any_command_is_a_fault_of_jobx(tmp_path: Path) -> None:
    define(tmp_path, {"m": ANSWER, "r": SUM}, {"m": ("m", "r")})
    said = {}
    for words, arguments in _commands(main, []):
        for place in range(len(arguments)):
            for odd in ODD:
                given = [*arguments[:place], odd, *arguments[place + 1 :]]
                ran = _run(tmp_path, *words, "--", *given)
                if ran.exit_code in (0, *WRONG) and "Traceback" not in ran.stderr:
                    continue
                said[*words, place, odd[:9]] = ran.exit_code, ran.stderr
    assert said == {}


def _commands(command: click.Command, words: list[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Yield each command below one that takes no path, with its arguments."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in sorted({*command.list_commands(context)} - ENDLESS):
            below = command.get_command(context, name)
            assert below is not None
            yield from _commands(below, [*words, name])
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    if not any(isinstance(one.type, click.Path) for one in arguments):
        yield words, [GOOD.get(one.name or "", "m") for one in arguments]


@pytest.mark.parametrize(("words", "code"), [(one[0], one[1]) for one in COMMANDS[::9]])
def test_a_program_is_told_in_json(folder: Path, words: list[str], code: int) -> None:
    ran = _run(folder, *words, "--json")

    error = json.loads(ran.stderr)["error"]
    assert set(error) == {"code", "detail", "exit_code"}
    assert error["exit_code"] == code


@pytest.mark.parametrize("lines", [SETTINGS, PLACES], ids=["forms", "places"])
def test_all_wrong_settings_are_named_together(
    tmp_path: Path, lines: list[tuple[str, str, list[str]]]
) -> None:
    path = tmp_path / "jobx.toml"
    sections: dict[str, list[str]] = {}
    for section, line, _ in lines:
        sections.setdefault(section, []).append(line)
    text = (f"[{name}]\n" + "\n".join(settings) for name, settings in sections.items())
    path.write_text("\n".join(text))

    ran = _run(tmp_path / "data", "config", "check", "--config", str(path))

    said = ran.stderr.splitlines()
    assert ran.exit_code == INVALID
    assert len(said) == len(lines), ran.stderr
    for _, _, named in lines:
        _is_told(next(line for line in said if f"setting {named[0]}:" in line), named)


@pytest.mark.parametrize("command", [["config", "check"], ["serve"]], ids=" ".join)
@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("node.data_dir", "'~no-such-user/data'"),
        ("node.log_path", f"'/tmp/{'x' * 5000}'"),
        ("store.ca_file", r'"\u0000"'),
        ("http.socket_group", r'"\u0000"'),
        ("results.file_path", "'~no-such-user/results'"),
        ("files.url", "'sftp://[x'"),
        ("blobs.url", "'http://[::1'"),
        ("scope.path", "['~no-such-user']"),
        ("scope.secrets", r'{a = "file:\u0000"}'),
    ],
)
def test_what_no_check_expects_is_told_by_its_setting(
    tmp_path: Path, setting: str, text: str, command: list[str]
) -> None:
    path = tmp_path / "jobx.toml"
    section, _, name = setting.partition(".")
    path.write_text(f"[{section}]\n{name} = {text}\n")
    data = [] if setting == "node.data_dir" else ["--data", str(tmp_path / "data")]

    ran = CliRunner().invoke(main, [*command, "--config", str(path), *data])

    assert (ran.exit_code, len(ran.stderr.splitlines())) == (INVALID, 1), ran.stderr
    assert f"setting {setting}" in ran.stderr


@pytest.mark.parametrize(
    "url", ["sftp://me:pw123@host/x", "sftp://me:pw123@[x", "http://u:pw123@h"]
)
def test_no_password_of_a_url_is_shown(tmp_path: Path, url: str) -> None:
    ran = _run(tmp_path / "d", "config", "check", JOBX_FILES_URL=url)

    assert (ran.exit_code, len(ran.stderr.splitlines())) == (INVALID, 1), ran.stderr
    assert "pw123" not in ran.stdout + ran.stderr
    assert ":***@" in ran.stdout


def test_a_pipe_in_the_place_of_a_file_is_told_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    ran = _run(tmp_path / "d", "config", "check", JOBX_OUTBOUND_CA_FILE=str(tmp_path / "pipe"))

    assert (ran.exit_code, len(ran.stderr.splitlines())) == (INVALID, 1), ran.stderr
    _is_told(ran.stderr, ["setting outbound.ca_file", "must be a file"])


def test_serve_says_all_of_them_before_it_starts_anything(tmp_path: Path) -> None:
    path = tmp_path / "jobx.toml"
    path.write_text("[scope]\npath = ['/nowhere']\n[executors]\nmemory_bytes = 5\n")

    ran = _run(tmp_path / "data", "serve", "--config", str(path))

    assert ran.exit_code == INVALID
    assert len(ran.stderr.splitlines()) == 2
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("method", "address", "headers", "body", "status", "named"),
    REQUESTS,
    ids=[f"{one[0]} {one[1]} {number}" for number, one in enumerate(REQUESTS)],
)
def test_a_wrong_request_is_told_what_where_and_what_to_do(
    port: int,
    *,
    method: str,
    address: str,
    headers: dict[str, str],
    body: str,
    status: int,
    named: list[str],
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, address, body or None, headers)
    answer = connection.getresponse()

    _is_problem(answer, status, named)
    connection.close()


@pytest.mark.parametrize(
    ("sent", "status", "named"), BYTES, ids=[f"{one[1]} {n}" for n, one in enumerate(BYTES)]
)
def test_what_is_hardly_http_is_told_as_well(
    port: int, sent: bytes, status: int, named: list[str]
) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        sock.sendall(sent)
        answer = http.client.HTTPResponse(sock)
        answer.begin()

        _is_problem(answer, status, named)


def _is_problem(answer: http.client.HTTPResponse, status: int, named: list[str]) -> None:
    text = answer.read().decode()
    problem: dict[str, Any] = json.loads(text)
    assert (answer.status, problem["status"]) == (status, status), text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.reason == http.HTTPStatus(status).phrase
    _is_told(problem["detail"] + str(answer.headers["Allow"]), named)
