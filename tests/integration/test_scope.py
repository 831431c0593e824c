"""What handlers find in scope on a real node, and where secrets do not go."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from jobx import meanings
from jobx.tools.cli import main
from tests.support.authoring import WORKFLOW, define
from tests.support.disks import below
from tests.support.explaining import explain
from tests.support.http_sink import HttpSink, http_sink
from tests.support.live_node import LiveNode, live_node, outcome_of, pairs_of
from tests.support.served import Answer, Served, served
from tests.support.waiting import eventually

PLANTED = "planted-sc0pe-\u00e9-secret"
IN_FILE = "planted-in-a-file"

SITE = """
def for_handlers(handler, secrets):
    if handler in ("broken", "replaces"):
        return {"broken": None, "replaces": {"Map": dict}}[handler]
    if handler == "raises":
        raise LookupError(f"no {secrets['token']} for it")
    if handler in ("says", "adds", "fails"):
        return {"TOKEN": secrets["token"], "FILED": secrets["filed"], "OF": handler}
    return {"OF": handler}

class Factory:
    def get_handler_scope_factory(self, workflow):
        self.workflow = workflow
        return self

    def get_scope(self, handler):
        return {"OF": f"{self.workflow}/{handler.handler_name}"}
"""
TELL = "def handler(arguments):\n    yield Return()\n    yield OF, 1\n"
HANDLERS = {
    "says": """
import base64, sys
def handler(arguments):
    yield Return()
    print(TOKEN, file=sys.stderr)
    PRINT(FILED, [TOKEN], TOKEN.encode())
    LOG.info("it is %s", TOKEN)
    NOTIFY.error("it is %s", TOKEN)
    PRINT(RUN(["cat"], TOKEN), RUN(["printenv", "X"], env={"X": FILED}))
    for piece in TOKEN:
        sys.stdout.write(piece)
    yield base64.b85encode(TOKEN.encode()).decode(), 1
""",
    "fails": "def handler(arguments):\n    yield Return()\n    raise ValueError(TOKEN + FILED)\n",
    "wrong": "def handler(arguments):\n    yield Return()\n    yield OF, TOKEN\n",
    "adds": "def handler(key, values):\n    PRINT('adding', TOKEN)\n    yield key, sum(values)\n",
    "twin": TELL,
    "other": TELL,
    "broken": TELL,
    "replaces": TELL,
    "raises": TELL,
}
STEPS = {name: (name, "adds" if name == "says" else "sum") for name in HANDLERS if name != "adds"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what an operator brings along."""
    (tmp_path / "site_scope.py").write_text(SITE)
    (tmp_path / "filed").write_text(f"{IN_FILE}\n")
    (tmp_path / "jobx.toml").write_text(f"""
        [node]
        log_path = "{tmp_path}/log"
        [scope]
        factories.{WORKFLOW} = "site_scope:for_handlers"
        path = ["{tmp_path}"]
        secrets.token = "env:SITE_CREDENTIAL"
        secrets.filed = "file:{tmp_path}/filed"
    """)
    return tmp_path


@pytest.fixture
def sink() -> Iterator[HttpSink]:
    with http_sink() as posted:
        yield posted


@pytest.fixture
def serving(folder: Path, sink: HttpSink) -> Iterator[Served]:
    data_dir = folder / "data"
    data_dir.mkdir()
    define(data_dir, HANDLERS, STEPS)
    environ = {
        "JOBX_CONFIG": str(folder / "jobx.toml"),
        "JOBX_NODE_LOG_LEVEL": "debug",
        "JOBX_NOTIFY_HTTP_URL": sink.url,
        "SITE_CREDENTIAL": PLANTED,
    }
    with served(data_dir, **environ) as process:
        yield process


def text_of(serving: Served, answer: Answer, part: str) -> str:
    """Return what an address of a request answers, as text."""
    connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", f"/request/{WORKFLOW}/{answer.request_id}{part}")
        return connection.getresponse().read().decode()


def holding(places: dict[str, bytes]) -> list[str]:
    """Return the places that hold a planted secret, or a good part of one."""
    planted = [PLANTED.encode(), PLANTED[-9:].encode(), IN_FILE.encode(), b"planted-sc0pe"]
    return [name for name, body in places.items() if any(secret in body for secret in planted)]


def files_below(folder: Path) -> dict[str, bytes]:
    """Return what is in all files below a folder."""
    found = {}
    for path in below(folder):
        with contextlib.suppress(OSError):  # a socket, or a file that has just gone
            found[str(path)] = path.read_bytes()
    return found


def subjects(sink: HttpSink) -> list[str]:
    """Return the subjects of the notifications that have come."""
    return [str(json.loads(post.body)["subject"]) for post in sink.posts]


def test_a_secret_is_found_nowhere_after_handlers_told_it(
    serving: Served, folder: Path, sink: HttpSink
) -> None:
    said, failed = serving.post("says", {}), serving.post("fails", {})
    raised = serving.post("raises", {})
    assert (said.status, failed.status, raised.status) == (200, 500, 500)
    answers = {f"answer {n}": repr(a).encode() for n, a in enumerate((said, failed, raised))}
    for answer in (said, failed, raised):
        for part in ("", "/trace", "/invocation/m0", "/invocation/m0/output", "/graph"):
            answers[f"{answer.request_id}{part}"] = text_of(serving, answer, part).encode()
    eventually(lambda: len(sink.posts) >= 3 and "it is ***" in subjects(sink))
    for number, post in enumerate(sink.posts):
        answers[f"notification {number}"] = post.body
    for pid in (serving.fork_server(), *serving.executors(), *serving.web_workers()):
        for name in ("environ", "cmdline"):
            answers[f"{pid} {name}"] = Path(f"/proc/{pid}/{name}").read_bytes()
    answers |= files_below(folder / "data") | {"log": (folder / "log").read_bytes()}
    assert holding(answers) == []
    assert any(b"it is ***" in body for name, body in answers.items() if "sqlite" in name)


def test_what_a_handler_told_is_there_but_for_the_secret(serving: Served) -> None:
    said, failed = serving.post("says", {}), serving.post("fails", {})
    where = f"{said.request_id}/m0"
    assert text_of(serving, said, "/invocation/m0/output") == (
        f"***\n*** ['***'] b'***'\nINFO {where}: it is ***\n*** ***\n\n***"
    )
    assert text_of(serving, said, "/invocation/r0/output") == "adding ***\n"
    assert failed.body["detail"] == "ValueError: ******"
    assert failed.headers["X-MR-EXCEPTION-MESSAGE"] == "******"


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("broken", "returned a NoneType, which is no mapping of names"),
        ("replaces", "returned Map, a name that JobX has for itself"),
        ("raises", "failed: LookupError: no *** for it ("),
        ("wrong", "name 'TOKEN' is not defined"),
    ],
)
def test_a_scope_that_cannot_be_made_fails_the_request_by_name(
    node: LiveNode, step: str, reason: str
) -> None:
    failure = node.post(step, {}).request.failure
    assert failure is not None
    assert reason in failure.message
    if step != "wrong":
        where = f"scope factory site_scope:for_handlers of workflow w for handler {step} "
        assert (failure.kind, failure.handler_name) == ("scope", step)
        assert failure.message.startswith(where)


@pytest.fixture
def node(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveNode]:
    monkeypatch.setenv("SITE_CREDENTIAL", PLANTED)
    with ExitStack() as stack:
        yield _start(stack, folder, factories={WORKFLOW: "site_scope:for_handlers"})


def _start(stack: ExitStack, folder: Path, **scope: Any) -> LiveNode:
    define(folder, HANDLERS, STEPS)
    flags = {
        "scope__path": [str(folder)],
        "scope__secrets": {"token": "env:SITE_CREDENTIAL", "filed": f"file:{folder}/filed"},
        **{f"scope__{name}": value for name, value in scope.items()},
    }
    return stack.enter_context(live_node(folder, node__executors=1, **flags))


def test_handlers_of_the_same_source_have_scopes_of_their_own(node: LiveNode) -> None:
    assert pairs_of(node.post("twin", {})) == [("twin", 1)]
    assert pairs_of(node.post("other", {})) == [("other", 1)]


def test_a_factory_in_the_style_of_mr_serves_all_workflows(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SITE_CREDENTIAL", PLANTED)
    with ExitStack() as stack:
        node = _start(stack, folder, factories={"*": "site_scope:Factory"})
        assert pairs_of(node.post("twin", {})) == [("w/twin", 1)]


def test_nothing_is_served_without_a_secret_that_is_set(folder: Path) -> None:
    command = [sys.executable, "-m", "jobx.tools.cli", "serve", "--bind", "127.0.0.1:0"]
    command += ["--config", str(folder / "jobx.toml"), "--data", str(folder / "data")]
    done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=60)
    assert done.returncode == meanings.INVALID
    assert "setting scope.secrets, token: there is no such variable" in done.stderr


SCOPE = """
def handler(arguments):
    yield Map("each")
    LOG.warning("%d of %s", 1, "x")
    LOG.info("100%")
    LOG.error("%d", "no number")
    PRINT("a", 1)
    PRINT(RUN(["cat"], b"input"), RUN("sh -c 'exit 3'", success_code=3))
    yield 1, 1
"""
CONTEXT = """
def handler(key, value):
    yield Return()
    LOG.debug("in %s", INVOCATION.step)
    left_s = INVOCATION.remaining_s()
    yield INVOCATION.id, [REQUEST.job, REQUEST.workflow, REQUEST.context["who"], INVOCATION.vertex,
                          INVOCATION.handler, INVOCATION.attempt, 0 < left_s <= 7]
"""
LAST = "def handler(key, values):\n    LOG.info('got %s', key)\n    yield key, list(values)[0]\n"
SLEEPER = "def handler(arguments):\n    yield Return()\n    RUN('sleep 60')\n"


@pytest.fixture
def plain_node(tmp_path: Path) -> Iterator[LiveNode]:
    handlers = {"root": SCOPE, "each": CONTEXT, "last": LAST, "sleeps": SLEEPER}
    steps = {"root": ("root", "last"), "each": ("each", "last"), "sleeps": ("sleeps", "last")}
    options = {"each": {"time_limit_s": 7.0}, "sleeps": {"time_limit_s": 0.5}}
    define(tmp_path, handlers, steps, **options)
    with live_node(tmp_path) as node:
        yield node


def test_contexts_tell_request_and_invocation_and_the_time_that_is_left(
    plain_node: LiveNode,
) -> None:
    outcome = plain_node.post("root", {}, context={"who": "me"})
    assert pairs_of(outcome) == [("m1", ["root", "w", "me", 1, "each", 1, True])]


def test_each_invocation_has_its_output_with_request_and_invocation_in_lines_of_log(
    plain_node: LiveNode, tmp_path: Path
) -> None:
    request_id = plain_node.post("root", {}, context={"who": "me"}).request.request_id
    named = ["invocation", "output", "w", request_id]
    shown = {
        name: CliRunner().invoke(main, [*named, name, "--data", str(tmp_path)]).stdout
        for name in ("m0", "m1", "r1", "r0")
    }
    assert shown == {
        "m0": f"WARNING {request_id}/m0: 1 of x\nINFO {request_id}/m0: 100%\n"
        f"ERROR {request_id}/m0: %d ('no number',)\na 1\ninput \n",
        "m1": f"DEBUG {request_id}/m1: in each\n",
        "r1": f"INFO {request_id}/r1: got m1\n",
        "r0": f"INFO {request_id}/r0: got m1\n",
    }


def test_a_program_ends_with_the_time_of_its_invocation(plain_node: LiveNode) -> None:
    failure = plain_node.post("sleeps", {}).request.failure
    assert failure is not None
    assert (failure.kind, failure.type) == ("timeout", "HandlerTimeout")


GPU = {"required_capability": "gpu"}


def _define_gpu(data_dir: Path) -> None:
    handlers = {
        "fan": "def handler(arguments):\n    yield Map('later')\n    yield 1, 1\n",
        "fast": "def handler(arguments):\n    yield Return()\n    yield 1, 1\n",
        "child": "def handler(key, value):\n    yield Return()\n    yield key, value\n",
    }
    steps = {"first": ("fast", "sum"), "fan": ("fan", "sum"), "later": ("child", "sum")}
    define(data_dir, handlers, steps, fast=GPU, child=GPU)


def test_a_capability_that_nobody_offers_is_a_fast_503_that_names_it(tmp_path: Path) -> None:
    _define_gpu(tmp_path)
    with served(tmp_path) as serving:
        first, later = serving.post("first", {}), serving.post("fan", {})
        assert (first.status, first.body["code"]) == (503, "no-capability")
        assert first.headers["Retry-After"]
        assert "no node offers the capability 'gpu' of step 'first'" in first.body["detail"]
        assert (later.status, later.body["kind"]) == (503, "capability")
        assert "the capability 'gpu' that step 'later' requires" in later.body["detail"]


def test_a_job_may_have_its_requests_wait_for_a_capability(tmp_path: Path) -> None:
    _define_gpu(tmp_path)
    words = ["job", "create", WORKFLOW, "patient", "", "fan", "--when-unavailable", "wait"]
    done = CliRunner().invoke(main, [*words, "--data", str(tmp_path)])
    assert done.exit_code == 0, done.output
    names = [{"workflow": WORKFLOW, "request_id": one} for one in ("r1", "r2")]
    with live_node(tmp_path) as node:
        for name in names:
            node.post_later("patient", {}, request_id=name["request_id"], is_blocking=False).result(
                60
            )
            eventually(lambda one=name: node.ask("request.get", **one)["waits_for"] == ("gpu",))
        eventually(lambda: explain(node, "r1").groups[0].cause == "capability")
        assert "no node offers gpu" in explain(node, "r1").groups[0].says
        cancelled = node.ask("request.cancel", **names[1], reason="enough")
        assert cancelled["state"] == "cancelled"
    with live_node(tmp_path, node__capabilities=("general", "gpu")) as node:
        ended = outcome_of(node.ask_later("wait", **names[0], wait_s=60.0))
        assert pairs_of(ended) == [(1, 1)]
        assert ended.request.waits_for == ()


def test_a_capability_of_the_old_variable_is_offered_and_shown(tmp_path: Path) -> None:
    _define_gpu(tmp_path)
    with served(tmp_path, MR_SYSTEM_CAPABILITIES="general, gpu") as serving:
        assert serving.post("first", {}).pairs == [[1, 1]]
        assert serving.post("fan", {}).pairs == [[1, 1]]
        done = CliRunner().invoke(main, ["node", "status", "--json", "--data", str(tmp_path)])
        assert json.loads(done.stdout)["capabilities"] == ["general", "gpu"]
        shown = CliRunner().invoke(main, ["node", "status", "--data", str(tmp_path)]).stdout
        assert "gpu" in next(line for line in shown.splitlines() if "capabilities" in line)
