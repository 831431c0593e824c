"""The real nginx, with ``conf/nginx.conf``, in front of a real ``jobx serve`` on a Unix socket."""

from __future__ import annotations

import configparser
import contextlib
import gzip
import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jobx.config import Settings
from jobx.tools.commands import serve
from tests.support.authoring import GATED, define
from tests.support.nginx import CONF, nginx, program
from tests.support.processes import running

CLIENT = "127.0.0.5"
FORGED = "9.9.9.9"
HANDLERS = {
    "count": "yield Return()\nfor n in range(arguments['n']):\n    yield n, 'x' * 20\n",
    "keep": "def handler(key, values):\n    yield key, values[0]\n",
    "gated": GATED,
}
SETTINGS = Settings()


@dataclass(frozen=True)
class Proxied:
    """JobX behind nginx."""

    port: int

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Return status, headers and body of an answer; ask as CLIENT."""
        kinds = {"Content-Type": "application/json"} | headers
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=60, source_address=(CLIENT, 0)
        )
        with contextlib.closing(connection):
            connection.request(method, path, content, kinds)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def send(self, head: str) -> bytes:
        """Return the answer to a raw request."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as client:
            client.sendall(head.replace("\n", "\r\n").encode())
            return client.recv(1 << 16)


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    program()
    folder = tmp_path_factory.mktemp("nginx")
    data_dir, upstream = folder / "d", folder / "http.sock"
    data_dir.mkdir()
    define(data_dir, HANDLERS, {"count": ("count", "keep"), "gated": ("gated", "sum")})
    command = ["-m", "jobx.tools.cli", "serve", "--data", str(data_dir), "--executors", "1"]
    bind = ["--bind", f"unix:{upstream}"]
    with running([*command, *bind], JOBX_HTTP_HOSTS="jobx.example.com") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(f"serving unix:{upstream}")
        with nginx(upstream, folder) as port:
            yield Proxied(port)


@pytest.fixture
def conf() -> str:
    return CONF.read_text()


def test_post_is_answered_through_nginx(proxied: Proxied) -> None:
    status, headers, body = proxied.ask("POST", "/job/w/count", {"arguments": {"n": 2}})

    assert (status, len(json.loads(body)["result"]["pairs"])) == (200, 2)
    assert headers["X-MR-REQUEST-ID"]


def test_forged_address_of_a_client_does_not_reach_the_request(proxied: Proxied) -> None:
    forged = {"X-Forwarded-For": FORGED, "Forwarded": f"for={FORGED}", "X-Real-IP": FORGED}
    body = {"arguments": {"n": 1}, "context": {"requester_ip": FORGED}}
    _, headers, _ = proxied.ask("POST", "/job/w/count", body, **forged)
    _, _, shown = proxied.ask("GET", f"/request/w/{headers['X-MR-REQUEST-ID']}")

    assert json.loads(shown)["context"] == {"requester_ip": CLIENT}


def test_large_result_is_streamed_whole(proxied: Proxied) -> None:
    status, headers, text = proxied.ask("POST", "/job/w/count", {"arguments": {"n": 120_000}})

    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert len(json.loads(text)["result"]["pairs"]) == 120_000


def test_body_over_the_limit_is_refused_by_nginx(proxied: Proxied) -> None:
    limit = SETTINGS.http.max_body_bytes
    answer = proxied.send(
        f"POST /job/w/count HTTP/1.1\nHost: localhost\nContent-Length: {limit + 1}\n\n"
    )
    head, _, body = answer.partition(b"\r\n\r\n")

    assert (head.split()[1], json.loads(body)["code"]) == (b"413", "too-large")
    assert b"proxy" in body


def test_body_that_is_too_large_unpacked_is_refused_by_jobx(proxied: Proxied) -> None:
    bomb = gzip.compress(b" " * (SETTINGS.http.max_body_bytes + 1))
    status, _, body = proxied.ask("POST", "/job/w/count", bomb, **{"Content-Encoding": "gzip"})

    assert (status, json.loads(body)["code"]) == (413, "too-large")
    assert b"proxy" not in body


@pytest.mark.parametrize(
    ("host", "status"), [("jobx.example.com", b"200"), ("evil.example", b"421")]
)
def test_only_names_of_the_settings_are_served(host: str, status: bytes, proxied: Proxied) -> None:
    assert proxied.send(f"GET /health/live HTTP/1.1\nHost: {host}\n\n").split()[1] == status


def test_length_and_chunks_at_once_are_refused(proxied: Proxied) -> None:
    head = "POST /job/w/count HTTP/1.1\nHost: localhost\nContent-Length: 5\n"

    assert proxied.send(f"{head}Transfer-Encoding: chunked\n\n0\n\n").split()[1] == b"400"


@pytest.mark.parametrize(
    "path", ["/workflow", "/workflow/w/handler/count", "/node", "/actors", "/metrics", "/ui/"]
)
def test_what_changes_or_shows_the_machine_is_for_this_machine_only(
    path: str, proxied: Proxied
) -> None:
    status, headers, body = proxied.ask("GET", path)

    assert (status, json.loads(body)["code"]) == (403, "forbidden")
    assert headers["Content-Type"] == "application/problem+json"
    assert proxied.send(f"GET {path} HTTP/1.1\nHost: localhost\n\n").split()[1] == b"200"


@pytest.mark.parametrize("path", ["/request/w", "/request/w?state=failed", "/request/w/counts"])
def test_lists_of_requests_are_for_all_who_run_jobs(path: str, proxied: Proxied) -> None:
    assert proxied.ask("GET", path)[0] == 200


def test_a_second_dump_at_the_same_time_is_refused(tmp_path: Path) -> None:
    """The first one has begun at JobX, which has not answered, when the second one comes."""
    path, upstream = f"/request/w/{'0' * 26}/dump", tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(upstream))
        listener.listen()
        listener.settimeout(60)
        with nginx(upstream, tmp_path) as port, _get(port, path), listener.accept()[0]:
            status, headers, body = Proxied(port).ask("GET", path)

    assert (status, json.loads(body)["code"], headers["Retry-After"]) == (429, "too-many", "1")


def test_lists_are_refused_to_a_client_who_asks_too_often(
    tmp_path: Path, conf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a rate that is too much on the slowest machine as well."""
    (burst,) = set(re.findall(r"limit_req zone=lists burst=(\d+) nodelay;", conf))
    rare, count = re.subn(r"(?<=zone=lists:10m rate=)\d+r/s", "1r/m", conf)
    assert count == 1
    (tmp_path / "rare.conf").write_text(rare)
    monkeypatch.setattr("tests.support.nginx.CONF", tmp_path / "rare.conf")
    with nginx(tmp_path / "nobody", tmp_path) as port:
        client = Proxied(port)
        found = {client.ask("GET", "/request/w")[0] for _ in range(int(burst) + 20)}
        assert found == {503, 429}
        assert client.ask("GET", f"/request/w/{'0' * 26}")[0] == 503


def test_static_page_explains_the_addresses(proxied: Proxied) -> None:
    status, headers, body = proxied.ask("GET", "/s/")

    assert (status, headers["Content-Type"]) == (200, "text/html")
    assert b"/job/{workflow}/{job}" in body


def test_folder_of_static_files_is_found_without_its_slash(proxied: Proxied) -> None:
    status, headers, _ = proxied.ask("GET", "/s")

    assert (status, headers["Location"]) == (301, "/s/")


@pytest.mark.parametrize(
    "path",
    [
        "/s/../app.py",
        "/s../app.py",
        "/s/%2e%2e/app.py",
        "/s/..%2fapp.py",
        "/s/x/../../app.py",
        "/s//etc/passwd",
        "/s/nothing.html",
    ],
)
def test_nothing_but_static_files_is_found_at_their_address(path: str, proxied: Proxied) -> None:
    assert proxied.send(f"GET {path} HTTP/1.1\nHost: localhost\n\n").split()[1] == b"404"


def test_piece_of_an_answer_arrives_before_the_next_is_written(tmp_path: Path) -> None:
    """Each piece is only written when the one before was received: a buffer would block it."""
    upstream = tmp_path / "s"
    received = threading.Semaphore(0)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(upstream))
        listener.listen()
        threading.Thread(target=_write_pieces, args=(listener, received), daemon=True).start()
        with nginx(upstream, tmp_path) as port:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            with contextlib.closing(connection):
                connection.request("GET", "/request/w/1/result")
                answer = connection.getresponse()
                for number in range(3):
                    assert json.loads(answer.readline()) == [number, 1]
                    received.release()
                assert answer.read() == b""


def test_missing_jobx_is_a_problem_that_says_to_try_again(tmp_path: Path) -> None:
    with nginx(tmp_path / "nobody", tmp_path) as port:
        status, headers, body = Proxied(port).ask("POST", "/job/w/count", {})

    assert (status, json.loads(body)["code"]) == (503, "node-unreachable")
    assert headers["Retry-After"] == "1"


@contextlib.contextmanager
def _get(port: int, path: str) -> Iterator[None]:
    """Ask as CLIENT, and wait for no answer."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60, source_address=(CLIENT, 0))
    with contextlib.closing(client):
        client.request("GET", path)
        yield


def _write_pieces(listener: socket.socket, received: threading.Semaphore) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(1 << 16)
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for number in range(3):
            connection.sendall(b"7\r\n[%d, 1]\n\r\n" % number)
            assert received.acquire(timeout=60)
        connection.sendall(b"0\r\n\r\n")


def test_nginx_waits_longer_than_jobx_lets_clients_wait(conf: str) -> None:
    (read_s,) = re.findall(r"^\s*proxy_read_timeout (\d+)s;", conf, re.MULTILINE)

    assert int(read_s) > SETTINGS.http.max_wait_s > 60


def test_nginx_has_the_body_limit_of_jobx(conf: str) -> None:
    assert f"client_max_body_size {SETTINGS.http.max_body_bytes};" in conf


def test_systemd_waits_longer_for_the_end_than_jobx_takes() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read(CONF.with_name("jobx.service"))

    assert int(unit["Service"]["TimeoutStopSec"]) > SETTINGS.node.drain_s + serve.GRACE_S


def test_events_come_at_once_below_a_prefix_through_a_proxy_that_buffers(
    proxied: Proxied, tmp_path: Path
) -> None:
    body = {"arguments": {"gate": str(tmp_path / "gate")}}
    _, _, made = proxied.ask("POST", "/below/job/w/gated?blocking=false", body)
    path = f"/below/request/w/{json.loads(made)['request_id']}/events"
    connection = http.client.HTTPConnection("127.0.0.1", proxied.port, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        lines = [answer.readline() for _ in range(2)]
        assert lines == [b"id: 0\n", b"event: progress\n"]
        (tmp_path / "gate").touch()
        assert b"event: end\n" in answer.read()
