"""What a real node sends: results that survive it, notifications, and no secret anywhere."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from jobx.actors.egress import signing
from jobx.tools.cli import main
from tests.support.http_sink import HttpSink, Post, http_sink
from tests.support.ports import free_port
from tests.support.processes import descendants, running, words
from tests.support.waiting import eventually

JOBX = ("-m", "jobx.tools.cli")
SECRETS = {
    "JOBX_NOTIFY_HTTP_KEY": "planted-notify-secret",
    "JOBX_RESULTS_HTTP_KEY": "planted-results-secret",
    "JOBX_MAIL_PASSWORD": "planted-mail-secret",
}
#: Soon tried again, and not given up before the test goes on.
FAST = {
    "JOBX_RESULTS_BACKOFF_S": "0.05",
    "JOBX_RESULTS_MAX_BACKOFF_S": "0.1",
    "JOBX_RESULTS_ATTEMPTS": "1000",
}
HANDLERS = {
    "tell": "yield MrConfigureToReturn()\nNOTIFY.warning('row %d', 17)\nyield 'a', 1\n",
    "break": "yield MrConfigureToReturn()\nHTTP.error('before')\nraise ValueError('no luck')\n",
    "look": "yield MrConfigureToReturn()\nfor pid in ('self', __import__('os').getppid()):\n"
    "    yield 'seen', 'planted' in open(f'/proc/{pid}/environ').read()\n",
}

Invoke = Callable[..., Any]


@pytest.fixture
def jobx(tmp_path: Path) -> Invoke:
    """Run commands on a data folder with a workflow ``w`` and a job for each handler."""

    def invoke(*command: str, stdin: str = "") -> Any:
        done = CliRunner().invoke(
            main, [*command, "--json", "--data", str(tmp_path / "d")], input=stdin
        )
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    invoke("workflow", "create", "w", "d")
    add = "for key, values in results:\n    yield key, sum(values)\n"
    invoke("handler", "create", "w", "add", "d", "python", "reducer", stdin=add)
    for name, source in HANDLERS.items():
        invoke("handler", "create", "w", name, "d", "python", "mapper", stdin=source)
        invoke("step", "create", "w", name, "d", name, "", "add")
        invoke("job", "create", "w", name, "d", name, "--writer-choice")
    return invoke


@contextmanager
def _serving(folder: Path, **environ: str) -> Iterator[tuple[int, str, Path]]:
    """Serve; gives the process id, the address, and the file of what is said."""
    words = [*JOBX, "serve", "--data", str(folder / "d"), "--bind", "127.0.0.1:0"]
    with running([*words, "--executors", "1"], **SECRETS, **FAST, **environ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        log = folder / "log"
        copier = threading.Thread(target=lambda: log.write_text(process.stderr.read()))
        copier.start()
        yield process.pid, line.split("//")[1].split()[0], log
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        copier.join(60)


def _post(address: str, job: str, body: object) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", f"/job/w/{job}", json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def _deliveries(address: str, request_id: str) -> list[dict[str, Any]]:
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request("GET", f"/request/w/{request_id}")
        found = json.loads(connection.getresponse().read())["deliveries"]
        assert isinstance(found, list)
        return found
    finally:
        connection.close()


def _ask_for_http(address: str) -> dict[str, Any]:
    status, answer = _post(address, "tell", {"result_writer": "http"})
    assert (status, answer["result"]) == (200, {})
    delivery = answer["delivery"]
    assert isinstance(delivery, dict)
    return delivery


@pytest.mark.chaos
def test_result_reaches_a_target_that_is_down_at_first_once(tmp_path: Path, jobx: Invoke) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/in"
    with _serving(tmp_path, JOBX_RESULTS_HTTP_URL=url) as (_, address, _):
        delivery = _ask_for_http(address)
        request_id = delivery["delivery_id"].removeprefix("w/")
        tried = eventually(lambda: _deliveries(address, request_id)[0]["attempts"] >= 3)
        with http_sink(port) as sink:
            eventually(lambda: _deliveries(address, request_id)[0]["state"] == "delivered")

    assert tried
    assert [post.headers["webhook-id"] for post in sink.posts] == [delivery["delivery_id"]]
    assert json.loads(sink.posts[0].body) == {"result": {"pairs": [["a", 1]]}}
    shown = jobx("request", "trace", "w", request_id)["deliveries"]
    assert (shown[0]["state"], shown[0]["place"]) == ("delivered", f"http://127.0.0.1:{port}")


@pytest.mark.chaos
@pytest.mark.usefixtures("jobx")
def test_result_that_a_killed_node_had_begun_to_send_comes_with_the_same_id(
    tmp_path: Path,
) -> None:
    killed = threading.Event()

    def answer(_: Post) -> tuple[int, dict[str, str]]:
        killed.wait(60)
        return 204, {}

    with http_sink() as sink:
        sink.answer = answer
        with _serving(tmp_path, JOBX_RESULTS_HTTP_URL=sink.url) as (pid, address, _):
            delivery = _ask_for_http(address)
            eventually(lambda: sink.posts)
            os.kill(_node_of(pid), signal.SIGKILL)
            killed.set()
            eventually(lambda: len(sink.posts) == 2)
            request_id = delivery["delivery_id"].removeprefix("w/")
            eventually(lambda: _is_delivered(address, request_id))

    assert [post.headers["webhook-id"] for post in sink.posts] == [delivery["delivery_id"]] * 2


def _is_delivered(address: str, request_id: str) -> bool:
    try:
        (delivery,) = _deliveries(address, request_id)
    except (KeyError, OSError):  # the node is on its way back
        return False
    return bool(delivery["state"] == "delivered")


def _node_of(pid: int) -> int:
    return next(child for child in descendants(pid) if "node" in words(child))


@pytest.mark.chaos
def test_notifications_arrive_and_no_secret_is_anywhere(tmp_path: Path, jobx: Invoke) -> None:
    with http_sink() as sink:
        environ = {"JOBX_NOTIFY_HTTP_URL": sink.url, "JOBX_RESULTS_HTTP_URL": sink.url}
        with _serving(tmp_path, JOBX_NODE_LOG_LEVEL="debug", **environ) as (pid, address, log):
            _ask_for_http(address)
            assert _post(address, "break", {})[0] == 500
            assert _post(address, "look", {})[1]["result"]["pairs"] == [["seen", 0]]
            jobx("step", "set-handler", "w", "tell", "--mapper", "look")
            # Before the node is killed: what was not sent by then is lost.
            eventually(lambda: _kinds(sink) >= {"handler", "request.failed", "handler.changed"})
            eventually(lambda: _told_by_handlers(sink) == {"row 17", "before"})
            os.kill(_node_of(pid), signal.SIGKILL)
            eventually(lambda: "node.back" in _kinds(sink))

    assert _told_by_handlers(sink) == {"row 17", "before"}
    assert all(
        signing.is_valid(
            SECRETS["JOBX_NOTIFY_HTTP_KEY" if _kind(post) else "JOBX_RESULTS_HTTP_KEY"],
            post.headers,
            float(post.headers["webhook-timestamp"]),
            post.body,
        )
        for post in sink.posts
    )
    written = [path for path in (tmp_path / "d").rglob("*") if path.is_file()]
    assert not [path for path in [log, *written] if b"planted-" in path.read_bytes()]


def _told(post: Post) -> dict[str, Any]:
    told = json.loads(post.body)
    assert isinstance(told, dict)
    return told


def _told_by_handlers(sink: HttpSink) -> set[str]:
    return {_told(post)["subject"] for post in sink.posts if _kind(post) == "handler"}


def _kind(post: Post) -> str:
    return str(_told(post).get("kind", ""))


def _kinds(sink: HttpSink) -> set[str]:
    return {_kind(post) for post in sink.posts}


def test_listen_prints_what_is_signed_and_refuses_the_rest() -> None:
    port, key = free_port(), "k"
    command = [*JOBX, "notify", "listen", "--port", str(port), "--key", key, "--json"]
    with running(command, PYTHONUNBUFFERED="1") as process:
        assert process.stdout is not None
        body = b'{"kind": "k", "level": "info", "subject": "s"}'
        signed = signing.headers(key, "id1", time.time(), [body])
        eventually(lambda: _send(port, body, {}) == 401)
        assert [_send(port, body, signed), _send(port, body, signed)] == [204, 204]
        lines = [json.loads(process.stdout.readline()) for _ in range(2)]

    assert [(line["repeat"], line["body"]["subject"]) for line in lines] == [
        (False, "s"),
        (True, "s"),
    ]


def _send(port: int, body: bytes, headers: dict[str, str]) -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/", body, headers)
        return connection.getresponse().status
    except ConnectionRefusedError:
        return None
    finally:
        connection.close()
