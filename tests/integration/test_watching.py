"""What happens to a request, followed by clients that come again, while all is killed around it."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any, Final

import pytest

from jobx.actors.readers.process import MODULE
from jobx.meanings import INTERRUPTED
from jobx.model import Retry
from tests.support.authoring import WORKFLOW, define
from tests.support.processes import descendants, words
from tests.support.served import LAUNCH, Served, kill, served
from tests.support.waiting import eventually

#: Children of the request; the last of them waits for the test.
CHILDREN: Final = 100
FAN = """
def handler(arguments):
    yield Map("each")
    for number in range(arguments["n"]):
        yield number, arguments["folder"]
"""
#: Some fail once.
EACH = f"""
import os, time
def handler(key, value):
    yield Return()
    time.sleep(0.03)
    if key % 5 == 0:
        try:
            os.close(os.open(f"{{value}}/tried-{{key}}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            pass
        else:
            raise ValueError("not yet")
    while key == {CHILDREN - 1} and not os.path.exists(f"{{value}}/go"):
        time.sleep(0.01)
    yield "n", 1
"""


class Watcher(threading.Thread):
    """Follows a request, and comes again where it was until it has ended."""

    def __init__(self, port: int, request_id: str, workflow: str = WORKFLOW) -> None:
        super().__init__()
        self._port = port
        self._path = f"/request/{workflow}/{request_id}/events"
        self.found: list[tuple[int, str, dict[str, Any]]] = []
        self.came = 0
        self.fault: Exception | None = None

    @property
    def last(self) -> int:
        """The number of the last message."""
        return self.found[-1][0] if self.found else -1

    def has_heard(self, count: int) -> bool:
        """Whether it knows that so many mappers have ended."""
        return bool(self.found) and ended(self.found[-1][2]) >= count

    def run(self) -> None:
        try:
            while not self.found or self.found[-1][1] != "end":
                self._read()
        except Exception as error:  # noqa: BLE001 - told by the test
            self.fault = error

    def _read(self) -> None:
        headers = {"Last-Event-ID": str(self.last)} if self.found else {}
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        with closing(connection):
            try:
                connection.request("GET", self._path, headers=headers)
                answer = connection.getresponse()
                if answer.status == 200:
                    self.came += 1
                    for message in messages(answer):
                        self.found.append(message)
                else:
                    assert answer.status in (503, 504), (answer.status, answer.read())
            except (OSError, http.client.HTTPException):
                pass  # something was killed


def messages(answer: http.client.HTTPResponse) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yield the number, the name and the data of each message of a stream."""
    fields: dict[str, str] = {}
    while line := answer.readline():
        name, _, text = line.decode().rstrip("\n").partition(": ")
        if name:
            fields[name] = text
        elif "id" in fields:
            yield int(fields["id"]), fields["event"], json.loads(fields["data"])
            fields = {}


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Served]:
    retry = Retry(attempts=5, backoff_s=0.01)
    steps = {"fan": ("fan", "sum"), "each": ("each", "sum")}
    define(tmp_path / "data", {"fan": FAN, "each": EACH}, steps, each={"retry": retry})
    with served(tmp_path / "data", JOBX_NODE_DRAIN_S="1") as found:
        yield found


def start(serving: Served, folder: Path) -> str:
    """Start a request."""
    arguments = {"n": CHILDREN, "folder": str(folder)}
    answer = serving.post("fan", arguments, Prefer="respond-async")
    assert answer.status == 202
    return str(answer.body["request_id"])


def ended(view: dict[str, Any]) -> int:
    """Return how many mappers have ended."""
    return sum(step["succeeded"] for step in view["summary"]["steps"])


def told(watcher: Watcher) -> tuple[int, int, int]:
    """Return what a watcher has heard of in all: retries, failures, branches."""
    views = [view for _, _, view in watcher.found]
    return (
        sum(view["retries"] for view in views),
        sum(view["hidden"] + len(view["failures"]) for view in views),
        sum(view["branches_ended"] for view in views),
    )


def reader(serving: Served) -> int:
    """Return the process that folds logs."""

    def found() -> list[int]:
        return [pid for pid in descendants(serving.node()) if MODULE in words(pid)]

    return eventually(found)[0]


def watch(folder: Path, request_id: str) -> list[str]:
    """Return the command that follows a request."""
    words = ["request", "watch", WORKFLOW, request_id, "--json", "--data", str(folder / "data")]
    return [sys.executable, "-m", *LAUNCH, *words]


def hear(watchers: Sequence[Watcher], count: int) -> None:
    """Wait until watchers know that so many mappers have ended."""
    for watcher in watchers:
        eventually(lambda one=watcher: one.fault or one.has_heard(count))  # type: ignore[misc]  # a lambda


def test_nothing_is_left_out_or_told_twice_whatever_is_killed(
    serving: Served, tmp_path: Path
) -> None:
    request_id = start(serving, tmp_path)
    watchers = [Watcher(serving.port, request_id) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    victims = [lambda: serving.web_workers()[0], lambda: reader(serving), serving.node]
    for number, victim in enumerate(victims):
        hear(watchers, 15 * (number + 1))
        serving.note()
        kill(victim())
        eventually(lambda: is_up(serving))
    (tmp_path / "go").touch()
    for watcher in watchers:
        watcher.join(120)
        assert watcher.fault is None
        numbers = [number for number, _, _ in watcher.found]
        assert numbers == sorted(set(numbers))
        assert watcher.came > 1
        last = watcher.found[-1][2]
        steps = last["summary"]["steps"]
        assert (last["summary"]["request"]["state"], ended(last)) == ("succeeded", CHILDREN + 1)
        assert told(watcher)[0] == sum(step["retries"] for step in steps) > 0
        assert told(watcher)[2] == 1
    assert len({told(watcher) for watcher in watchers}) == 1
    seen = subprocess.run(
        watch(tmp_path, request_id), capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(seen.stdout.splitlines()[-1])["is_end"]
    (tmp_path / "again").mkdir()
    request_id = start(serving, tmp_path / "again")
    with subprocess.Popen(
        watch(tmp_path, request_id), stdout=PIPE, stderr=PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert not json.loads(process.stdout.readline())["is_end"]
        process.send_signal(signal.SIGINT)
        _, told_at_last = process.communicate(timeout=60)
        assert f"jobx request watch w {request_id}" in told_at_last
        assert process.returncode == INTERRUPTED
    with opened(serving, request_id) as stream:
        serving.process.terminate()
        rest = stream.read()  # to its proper end
    assert re.search(rb"\n\nretry: [0-9]{4}\n\n$", rest)


def is_up(serving: Served) -> bool:
    """Whether the service takes requests."""
    try:
        return serving.ask("GET", "/health/ready", None, 60, {}).status == 200
    except (OSError, http.client.HTTPException):
        return False


@contextmanager
def opened(serving: Served, request_id: str) -> Iterator[http.client.HTTPResponse]:
    """Give a stream that has begun."""
    connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=60)
    with closing(connection):
        connection.request("GET", f"/request/w/{request_id}/events")
        answer = connection.getresponse()
        assert answer.status == 200
        yield answer


#: Fails at first, each time.
NOISY = """
def handler(key, value):
    yield Return()
    if INVOCATION.attempt == 1:
        raise ValueError("x" * 300)
"""


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, str]]:
    """Serve with room for one stream, and a request that goes on and has much to tell."""
    folder = tmp_path_factory.mktemp("narrow")
    retry = Retry(attempts=2, backoff_s=0.05)
    steps = {"fan": ("fan", "sum"), "each": ("each", "sum")}
    define(folder / "data", {"fan": FAN, "each": NOISY}, steps, each={"retry": retry})
    limits = {"JOBX_HTTP_MAX_WATCHERS": "1", "JOBX_HTTP_STALL_S": "3"}
    with served(folder / "data", **limits) as found:
        arguments = {"n": 10**9, "folder": ""}
        answer = found.post("fan", arguments, Prefer="respond-async")
        yield found, f"/request/w/{answer.body['request_id']}/events"
        found.kill_all()


def asked(serving: Served, head: str) -> socket.socket:
    """Return a connection that takes little, on which something was asked."""
    client = socket.socket()
    client.settimeout(60)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", serving.port))
    client.sendall(head.replace("\n", "\r\n").encode())
    return client


@contextmanager
def taking(client: socket.socket) -> Iterator[None]:
    """Take all that comes meanwhile, and nothing any more afterwards."""
    is_over = threading.Event()

    def take() -> None:
        while not is_over.is_set() and client.recv(1 << 16):
            pass

    thread = threading.Thread(target=take)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def is_free(serving: Served, path: str) -> bool:
    """Whether there is room for a stream."""
    with closing(asked(serving, f"GET {path} HTTP/1.1\nHost: localhost\n\n")) as client:
        return b" 200 " in client.recv(100)


def test_a_client_that_takes_nothing_is_cut_off(narrow: tuple[Served, str]) -> None:
    serving, path = narrow
    with closing(asked(serving, f"GET {path} HTTP/1.1\nHost: localhost\n\n")) as client:
        assert b" 200 " in client.recv(20)
        with taking(client):
            assert not is_free(serving, path)
        eventually(lambda: is_free(serving, path))


def test_a_client_of_old_gets_a_stream_too(narrow: tuple[Served, str]) -> None:
    serving, path = narrow

    def begin() -> bytes:
        with closing(asked(serving, f"GET {path} HTTP/1.0\n\n")) as client:
            head = b""
            with client.makefile("rb") as reader:
                while (line := reader.readline()) not in (b"", b"\r\n"):
                    head += line
                message = reader.readline()
            return head + message if message.startswith(b"id: ") else b""

    head = eventually(begin)  # there may still be no room
    assert head.startswith(b"HTTP/1.0 200 ")
    assert b"transfer-encoding" not in head.lower()
